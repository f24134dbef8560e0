/** What a drill is asked for with: read tolerantly, refused exactly. */
import { ApplicationFailure } from '@temporalio/common';
import type { Assertion } from '../../evidence/record.ts';
import type { AbortWhen } from '../../topology/drill.ts';

export interface DrillRequest {
  service: string;
  /** `full`: the writable side and all traffic move; `rampOnly`: part of the traffic, the data stays. */
  kind: 'full' | 'rampOnly';
  /** Region to go to and come back from. */
  to: string;
  /** rampOnly: share of the traffic that moves, in percent. */
  percent: number;
  /** Time on the other side, in milliseconds. */
  dwellMs: number;
  /** Between two rounds of checks while it dwells, in milliseconds. */
  intervalMs: number;
  /** `people`: the first leg's gate asks, and its approval covers the way back; `auto`: nobody is asked. */
  approvals: 'people' | 'auto';
  /** Trouble on the other side that sends it back early. */
  abortWhen: AbortWhen;
  /** Name of the drill in the topology; `null` when somebody asked for one by hand. */
  name: string | null;
  by: string | null;
  reason: string | null;
  /** When it is due next, milliseconds since the epoch: for the evidence. */
  nextDueAt: number | null;
  assertions: Assertion[];
}

const EXAMPLE = '{"service":"checkout","to":"eu-central","dwellMs":1800000,"by":"you@example.com"}';
const FIELDS = [
  ...['service', 'kind', 'to', 'percent', 'dwellMs', 'intervalMs', 'approvals', 'abortWhen', 'name', 'by', 'reason'],
  ...['assertions', 'nextDueAt'],
];
const DEFAULT_INTERVAL_MS = 10_000;
const DEFAULT_PERCENT = 25;
/** Rounds in a row in which a check does not pass: as many as a failed probe takes to be an outage. */
const DEFAULT_CHECKS_FAILING = 3;
const DEFAULT_WITHIN_MS = 60_000;
/** A month: whoever wants longer wants to stay. */
const LONGEST_MS = 31 * 24 * 3_600_000;

/** @throws ApplicationFailure InvalidInput, with a right example */
export function readDrill(given: unknown): DrillRequest {
  const input = Array.isArray(given) && given.length === 1 ? (given[0] as unknown) : given;
  if (!isObject(input)) throw invalid('the input must be one JSON object');
  unknownFields(input, FIELDS, '');
  const text = (key: string): string | null => {
    const value = input[key] ?? null;
    if (value !== null && (typeof value !== 'string' || value === '')) throw invalid(`"${key}" must be a text`);
    return value as string | null;
  };
  const { approvals = 'people', kind = 'full' } = input;
  if (approvals !== 'people' && approvals !== 'auto') throw invalid('"approvals" must be "people" or "auto"');
  if (kind !== 'full' && kind !== 'rampOnly') throw invalid('"kind" must be "full" or "rampOnly"');
  const service = text('service');
  const to = text('to');
  if (service === null || to === null) throw invalid('"service" and "to" must say what moves and where to');
  if (input.dwellMs === undefined) throw invalid('"dwellMs" must say how long to stay on the other side');
  if (input.percent !== undefined && kind === 'full') throw invalid('"percent" belongs to a drill of kind "rampOnly"');
  return {
    ...{ service, kind, to, approvals },
    percent: whole(input, 'percent', { least: 1, most: 100, fallback: DEFAULT_PERCENT, of: 'percent' }),
    dwellMs: time(input, 'dwellMs', 0, 0),
    intervalMs: time(input, 'intervalMs', 100, DEFAULT_INTERVAL_MS),
    abortWhen: abortWhenIn(input.abortWhen ?? {}),
    name: text('name'),
    by: text('by'),
    reason: text('reason'),
    nextDueAt: momentIn(input),
    assertions: assertionsIn(input.assertions ?? []),
  };
}

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function unknownFields(given: Fields, known: string[], where: string): void {
  const strange = Object.keys(given).filter((key) => !known.includes(key));
  if (strange.length > 0)
    throw invalid(`unknown field ${strange.map((key) => where + key).join(', ')}; it takes ${known.join(', ')}`);
}

interface Bounds {
  least: number;
  most: number;
  fallback: number;
  /** Unit, for the sentence that refuses. */
  of: string;
}

function whole(given: Fields, key: string, { least, most, fallback, of }: Bounds): number {
  const value = given[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
    throw invalid(`"${key}" must be whole ${of} from ${least} to ${most}`);
  return value;
}

const time = (given: Fields, key: string, least: number, fallback: number): number =>
  whole(given, key, { least, most: LONGEST_MS, fallback, of: 'milliseconds' });

function momentIn({ nextDueAt = null }: Fields): number | null {
  if (nextDueAt !== null && !Number.isSafeInteger(nextDueAt))
    throw invalid('"nextDueAt" must be milliseconds since the epoch');
  return nextDueAt as number | null;
}

function abortWhenIn(given: unknown): AbortWhen {
  if (!isObject(given)) throw invalid('"abortWhen" must be an object');
  unknownFields(given, ['checksFailing', 'errorRate', 'lagAboveMs'], 'abortWhen.');
  const rate = given.errorRate ?? null;
  if (rate !== null && !isObject(rate)) throw invalid('"errorRate" must be an object');
  if (rate !== null) unknownFields(rate, ['percent', 'withinMs'], 'abortWhen.errorRate.');
  if (rate !== null && rate.percent === undefined) throw invalid('"errorRate" must say above which "percent"');
  const failing = { least: 1, most: 1_000, fallback: DEFAULT_CHECKS_FAILING, of: 'rounds' };
  return {
    checksFailing: whole(given, 'checksFailing', failing),
    errorRate:
      rate === null
        ? null
        : {
            percent: whole(rate, 'percent', { least: 1, most: 100, fallback: 0, of: 'percent' }),
            withinMs: time(rate, 'withinMs', 1_000, DEFAULT_WITHIN_MS),
          },
    lagAboveMs: (given.lagAboveMs ?? null) === null ? null : time(given, 'lagAboveMs', 0, 0),
  };
}

/** Refused before anything moves, not found out when all is over. */
function assertionsIn(given: unknown): Assertion[] {
  const right = (one: unknown): boolean => {
    const { name, expr, severity = 'fail' } = (one ?? {}) as Partial<Assertion>;
    return typeof name === 'string' && typeof expr === 'string' && (severity === 'fail' || severity === 'warn');
  };
  if (!Array.isArray(given) || !given.every(right))
    throw invalid(
      '"assertions" must be a list of {"name":"…","expr":"…"}, each with "severity" "fail" or "warn" if at all',
    );
  return given as Assertion[];
}

function invalid(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`${message}. Example: ${EXAMPLE}`, 'InvalidInput');
}
