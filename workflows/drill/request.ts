/** What a drill is asked for with: read tolerantly, refused exactly. */
import { ApplicationFailure } from '@temporalio/common';
import type { Assertion } from '../../evidence/record.ts';

export interface DrillRequest {
  service: string;
  /** Region to go to and come back from. */
  to: string;
  /** Time on the other side, in milliseconds. */
  dwellMs: number;
  /** Between two rounds of checks while it dwells, in milliseconds. */
  intervalMs: number;
  /** `people`: the first leg's gate asks, and its approval covers the way back; `auto`: nobody is asked. */
  approvals: 'people' | 'auto';
  /** Name of the drill in the topology; `null` when somebody asked for one by hand. */
  name: string | null;
  by: string | null;
  reason: string | null;
  assertions: Assertion[];
}

const EXAMPLE = '{"service":"checkout","to":"eu-central","dwellMs":1800000,"by":"you@example.com"}';
const FIELDS = ['service', 'to', 'dwellMs', 'intervalMs', 'approvals', 'name', 'by', 'reason', 'assertions'];
const DEFAULT_INTERVAL_MS = 10_000;
/** A month: whoever wants longer wants to stay. */
const LONGEST_MS = 31 * 24 * 3_600_000;

/** @throws ApplicationFailure InvalidInput, with a right example */
export function readDrill(given: unknown): DrillRequest {
  const input = Array.isArray(given) && given.length === 1 ? (given[0] as unknown) : given;
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalid('the input must be one JSON object');
  const o = input as Record<string, unknown>;
  const strange = Object.keys(o).filter((key) => !FIELDS.includes(key));
  if (strange.length > 0) throw invalid(`unknown field ${strange.join(', ')}; it takes ${FIELDS.join(', ')}`);
  const text = (key: string): string | null => {
    const value = o[key] ?? null;
    if (value !== null && (typeof value !== 'string' || value === '')) throw invalid(`"${key}" must be a text`);
    return value as string | null;
  };
  const time = (key: string, least: number, fallback: number): number => {
    const value = o[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > LONGEST_MS)
      throw invalid(`"${key}" must be whole milliseconds from ${least} to ${LONGEST_MS}`);
    return value;
  };
  const approvals = o.approvals ?? 'people';
  if (approvals !== 'people' && approvals !== 'auto') throw invalid('"approvals" must be "people" or "auto"');
  const service = text('service');
  const to = text('to');
  if (service === null || to === null) throw invalid('"service" and "to" must say what moves and where to');
  if (o.dwellMs === undefined) throw invalid('"dwellMs" must say how long to stay on the other side');
  return {
    ...{ service, to, approvals },
    dwellMs: time('dwellMs', 0, 0),
    intervalMs: time('intervalMs', 100, DEFAULT_INTERVAL_MS),
    name: text('name'),
    by: text('by'),
    reason: text('reason'),
    assertions: assertionsIn(o.assertions ?? []),
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
