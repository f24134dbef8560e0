/** The wire of the contract: one GET, one PUT, and what their answers mean. */
import { z } from 'zod';
import { RampartError } from '../errors.ts';
import { asUnavailable, displayUrl, type HttpAnswer, httpCall } from '../http-call.ts';
import type { DriverContext, WorkloadState } from '../ports.ts';
import { type ContractConfig, type ContractNode, contractUrl } from './config.ts';

export type DesiredState = Exclude<WorkloadState, 'unknown'>;

/** What one instance says of itself. Fields that are missing or not understood are `null` or `unknown`. */
export interface NodeReading {
  state: WorkloadState;
  inflight: number | null;
  ready: boolean | null;
  capacity: { present: number; wanted: number } | null;
  /** The greatest token it has taken, when it keeps one. */
  token: { epoch: number; runId: string; seq: number } | null;
  /** Why a state is unknown; else empty. */
  detail: string;
}

export interface ContractClient {
  url: string;
  /** @throws ProviderUnavailable, AccessDenied, PreconditionFailed when the service has no such page */
  get(): Promise<NodeReading>;
  /** @throws besides those of `get`: Conflict when the service knows a newer token */
  put(desired: DesiredState, capacity: number | null): Promise<void>;
}

/** Unknown fields are welcome; a known one of the wrong type counts as missing. */
const answerSchema = z.looseObject({
  state: z.enum(['active', 'standby', 'drained', 'unknown']).catch('unknown'),
  inflight: z.number().int().nonnegative().nullable().catch(null),
  ready: z.boolean().nullable().catch(null),
  capacity: z.object({ present: z.number().nonnegative(), wanted: z.number().nonnegative() }).nullable().catch(null),
  token: z.object({ epoch: z.int(), runId: z.string(), seq: z.int() }).nullable().catch(null),
});

export async function contractClient(
  config: ContractConfig,
  node: ContractNode,
  context: DriverContext,
): Promise<ContractClient> {
  const url = contractUrl(config, node);
  const where = displayUrl(url);
  const bearer = config.token === undefined ? undefined : await context.secret(config.token);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;

  async function call(method: 'GET' | 'PUT', body?: string): Promise<HttpAnswer> {
    const { signal } = context;
    const sent = body === undefined ? headers : { ...headers, 'content-type': 'application/json' };
    try {
      const call = { url, method, headers: sent, body, timeoutMs: config.timeout, signal, maxBytes: 65_536 };
      const answer = await httpCall(call);
      if (answer.status >= 200 && answer.status < 300) return answer;
      throw refusal(method, answer);
    } catch (error) {
      throw asUnavailable(error, `The service at ${where}`, 'See that it runs and that this worker reaches it.');
    }
  }

  function refusal(method: string, answer: HttpAnswer): RampartError {
    const { status } = answer;
    let said = answer.body.replace(/\s+/g, ' ').trim().slice(0, 200);
    if (bearer) said = said.replaceAll(bearer, '***');
    const message = `${method} ${where} answered ${status}${said === '' ? '' : `: ${said}`}`;
    if (status === 401 || status === 403) {
      const remedy = 'Set `token` to a reference that holds the bearer token of the service.';
      return new RampartError('AccessDenied', message, { remedy });
    }
    if (status === 409) {
      return new RampartError('Conflict', message, { remedy: 'Another run drives this service: look at it first.' });
    }
    if (status === 404 || status === 405 || status === 501 || (status >= 300 && status < 400)) {
      const remedy = 'Check `url` and `path`: there must be GET and PUT as docs/http-contract.md describes.';
      return new RampartError('PreconditionFailed', message, { remedy });
    }
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      return new RampartError('ProviderUnavailable', message, { remedy: "Look into the service's log." });
    }
    const remedy = 'The service refuses this state: look into its log, and see that it follows docs/http-contract.md.';
    return new RampartError('PreconditionFailed', message, { remedy });
  }

  return {
    url,
    get: async () => readAnswer(await call('GET')),
    put: async (desired, capacity) => {
      const { token } = context;
      const { epoch, runId, seq } = token ?? {};
      const body = {
        desired,
        ...(capacity === null ? {} : { capacity }),
        ...(token === undefined ? {} : { token: { epoch, runId, seq } }),
      };
      await call('PUT', JSON.stringify(body));
    },
  };
}

function readAnswer(answer: HttpAnswer): NodeReading {
  const none = { state: 'unknown', inflight: null, ready: null, capacity: null, token: null } as const;
  if (answer.cut) return { ...none, detail: 'its answer is longer than 64 KiB' };
  let content: unknown;
  try {
    content = JSON.parse(answer.body);
  } catch {
    return { ...none, detail: 'its answer is not JSON' };
  }
  const parsed = answerSchema.safeParse(content);
  if (!parsed.success) return { ...none, detail: 'its answer is not a JSON object' };
  const { state, inflight, ready, capacity, token } = parsed.data;
  const detail = state === 'unknown' ? 'its answer has no `state` of active, standby or drained' : '';
  return { state, inflight, ready, capacity, token, detail };
}
