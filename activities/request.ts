/** Reads a request as people type it into a form: forgiving in shape, exact in what it refuses. */
import { z } from 'zod';
import { RampartError } from '../drivers/errors.ts';
import { resumeCommand } from '../plan/findings/finding.ts';
import type { Action, HaltNote, Request } from '../plan/model.ts';
import { withGroup } from '../topology/group.ts';
import { lockOf, type Service, type Topology } from '../topology/model.ts';
import { closest } from '../topology/suggest.ts';
import type { RawRequest } from './contract.ts';

const ACTIONS: Record<string, Action> = {
  failover: 'failover',
  failback: 'failback',
  trafficRamp: 'trafficRamp',
  reprotect: 'reprotect',
  refence: 'refence',
  // Whether old data may go is the same question as whether there is anything left to protect.
  release: 'reprotect',
};

const EXAMPLES: Record<Action, string> = {
  failover: '{"service":"checkout","to":"eu-central"}',
  failback: '{"service":"checkout"}',
  trafficRamp: '{"service":"checkout","to":"eu-central","percent":50}',
  reprotect: '{"service":"checkout"}',
  refence: '{"service":"checkout","from":"eu-west"}',
};

const text = z.string().trim().min(1);
const list = z.union([z.array(text), text.transform((one) => one.split(',').map((s) => s.trim()))]);
/** Milliseconds since the epoch, or as people write a time. */
const moment = z.union([
  z.number().int().positive(),
  z
    .string()
    .refine((given) => Number.isFinite(Date.parse(given)), 'write a time such as 2026-03-29T03:12:00Z')
    .transform((given) => Date.parse(given)),
]);
const shape = z.strictObject({
  action: z.enum(['failover', 'failback', 'trafficRamp', 'reprotect', 'refence']).optional(),
  service: text,
  from: text.optional(),
  to: text.optional(),
  mode: z.enum(['planned', 'unplanned']).optional(),
  reason: z.string().optional(),
  by: z.string().optional(),
  digest: text.optional(),
  override: list.optional(),
  percent: z.coerce.number().int().min(0).max(100).optional(),
  waive: z.boolean().optional(),
  proposed: z.boolean().optional(),
  impactStartAt: moment.optional(),
  detectedAt: moment.optional(),
  ramp: z.array(z.coerce.number().int().min(1).max(100)).min(1).optional(),
});

/**
 * @returns the request made whole, with its service and what moves with it
 * @throws RampartError InvalidInput, in one sentence per problem, with a right example
 */
export function readRequest(raw: RawRequest, topology: Topology): { request: Request; service: Service } {
  const action = ACTIONS[raw.workflowType] ?? (raw.workflowType === 'plan' ? undefined : null);
  if (action === null)
    throw new RampartError('InvalidInput', `there is no action for workflow type ${raw.workflowType}`);
  const example = EXAMPLES[action ?? 'failover'];
  const input = unwrap(raw.input);
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalid(`the input must be one JSON object, for example ${example}`);
  const empty = Object.fromEntries(Object.entries(input).filter(([, v]) => v !== '' && v !== null));
  const parsed = shape.safeParse(empty);
  if (!parsed.success) throw invalid(`${problems(parsed.error)}. Example: ${example}`);
  const request = { ...parsed.data, action: action ?? parsed.data.action ?? 'failover' } as Request;
  if (parsed.data.action !== undefined && parsed.data.action !== request.action)
    throw invalid(`"action" says ${parsed.data.action}, but this is a ${raw.workflowType}`);
  const service = topology.services[request.service];
  if (service === undefined) throw invalid(unknown('service', request.service, Object.keys(topology.services)));
  const regions = [service.home, ...service.standby];
  for (const key of ['from', 'to'] as const) {
    const region = request[key];
    if (region !== undefined && !regions.includes(region))
      throw invalid(unknown(`region for "${key}"`, region, regions));
  }
  if (request.action === 'failback') {
    if (request.to !== undefined && request.to !== service.home)
      throw invalid(`failback goes to the service's home, ${service.home}; to go to ${request.to} use failover`);
    request.to = service.home;
  }
  if (
    request.to === undefined &&
    request.action === 'failover' &&
    service.standby.length === 1 &&
    request.from !== undefined
  )
    request.to = regions.find((r) => r !== request.from)!;
  if (request.to === undefined && request.action !== 'reprotect' && request.action !== 'refence')
    throw invalid(`"to" must name the region to go to: ${regions.join(' or ')}. Example: ${example}`);
  if (request.from !== undefined && request.from === request.to)
    throw invalid(`"from" and "to" are both ${request.to}`);
  if (request.ramp?.some((p, i) => i > 0 && p <= request.ramp![i - 1]!))
    throw invalid(`"ramp" must rise, got ${request.ramp.join(', ')}`);
  assertLock(raw, service, request);
  return { request, service: withGroup(topology, service) };
}

/**
 * A drill needs nobody's override: it can wait.
 * @throws RampartError PreconditionFailed while the service is halted
 */
export function refuseDrill({ name }: Pick<Service, 'name'>, halt: HaltNote | null): void {
  if (halt === null) return;
  throw new RampartError('PreconditionFailed', `${name} is halted by ${halt.by}: ${halt.reason}`, {
    remedy: `No drill is played until the halt is ended: ${resumeCommand(name)}`,
  });
}

/** The workflow ID is the lock: a run under any other ID would not exclude anybody. */
function assertLock(raw: RawRequest, service: Service, request: Request): void {
  if (raw.workflowType === 'plan') return;
  const lock = lockOf(service);
  if (raw.workflowId === lock) return;
  const query = new URLSearchParams({ taskQueue: 'rampart', workflowType: raw.workflowType, workflowId: lock });
  throw invalid(
    `the workflow ID must be "${lock}", not "${raw.workflowId}": it is the lock that keeps two runs apart. ` +
      `Start it again with that ID: /namespaces/<namespace>/workflows/start-workflow?${query} with the input ${JSON.stringify(request)}`,
  );
}

/** The Web UI may send a list with one element, the CLI a JSON text. */
function unwrap(input: unknown): unknown {
  if (Array.isArray(input) && input.length === 1) return unwrap(input[0]);
  if (typeof input !== 'string') return input;
  try {
    return JSON.parse(input);
  } catch {
    return input;
  }
}

function problems(error: z.ZodError): string {
  const keys = Object.keys(shape.shape);
  return error.issues
    .map((issue) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknown('field', key, keys)).join('; ');
      return `"${issue.path.join('.')}": ${issue.message}`;
    })
    .join('; ');
}

function unknown(what: string, name: string, known: string[]): string {
  const near = closest(name, known);
  return `unknown ${what} "${name}"${near === undefined ? '' : `, did you mean "${near}"?`}; known: ${known.join(', ')}`;
}

function invalid(message: string): RampartError {
  return new RampartError('InvalidInput', message);
}
