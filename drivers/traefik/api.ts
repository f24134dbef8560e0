import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { RampartError } from '../errors.ts';
import { asUnavailable, displayUrl, type HttpAnswer, httpCall, NoAnswer } from '../http-call.ts';
import type { DriverContext } from '../ports.ts';
import type { TraefikConfig } from './config.ts';
import { childName, isRecord, type Layout, type Reading, readWeights } from './weights.ts';

/** Longest wait for one answer of the API, in milliseconds; it normally takes one. */
const ANSWER_MS = 1_500;

/** What Traefik itself says that it applies. */
export interface TraefikApi {
  /** @throws ProviderUnavailable, AccessDenied */
  shown(): Promise<Reading>;
  /** Regions, of those with traffic, whose servers at Traefik are not the component's; empty when all is well. */
  wrongServers(regions: string[]): Promise<string[]>;
  close(): void;
}

export async function openApi(config: TraefikConfig, layout: Layout, context: DriverContext): Promise<TraefikApi> {
  const base = config.api.replace(/\/+$/, '');
  const where = `Traefik's API at ${displayUrl(base)}`;
  const headers: Record<string, string> = {};
  if (config.apiAuthorization) headers.authorization = await context.secret(config.apiAuthorization);
  const AgentClass = base.startsWith('https:') ? TlsAgent : Agent;
  const agent = new AgentClass({ keepAlive: true, maxSockets: 1 });

  async function get(path: string, again = true): Promise<HttpAnswer> {
    try {
      return await httpCall({ url: `${base}${path}`, headers, timeoutMs: ANSWER_MS, signal: context.signal, agent });
    } catch (error) {
      // Traefik may close an idle connection just when it is used again; asking is harmless.
      if (again && error instanceof NoAnswer && error.reason === 'broken') return get(path, false);
      throw asUnavailable(error, where, 'See that Traefik runs, that its API is on, and that this worker reaches it.');
    }
  }

  async function definition(name: string): Promise<Record<string, unknown> | undefined> {
    const protocol = layout.kind === 'weighted' ? 'http' : 'tcp';
    const answer = await get(`/api/${protocol}/services/${encodeURIComponent(`${name}@file`)}`);
    if (answer.status === 401 || answer.status === 403) {
      const remedy = 'Set `apiAuthorization` to a reference that holds the right Authorization header.';
      throw new RampartError('AccessDenied', `${where} refused the credentials (${answer.status})`, { remedy });
    }
    const content = answer.status === 200 || answer.status === 404 ? parse(answer.body) : undefined;
    if (content === undefined || (answer.status === 404 && !String(content.message).includes('not found'))) {
      const remedy = 'Check `api`: it must be the address below which /api/overview answers.';
      throw new RampartError('ProviderUnavailable', `${where} answered ${answer.status} with something else`, {
        remedy,
      });
    }
    return answer.status === 404 ? undefined : content;
  }

  return {
    async shown() {
      const found = await definition(layout.service);
      if (found === undefined) {
        const detail = `Traefik has no service ${layout.service}@file: is ${config.file} in the folder it watches?`;
        return { weights: null, detail };
      }
      const reading = readWeights(layout, found);
      if (found.status === 'enabled') return reading;
      const problems = Array.isArray(found.error) ? found.error.join('; ') : '';
      return { weights: null, detail: `Traefik has ${layout.service} as ${String(found.status)}: ${problems}` };
    },
    async wrongServers(regions) {
      if (layout.kind === 'endpoint') return [];
      const wrong = await Promise.all(
        regions.map(async (region) => {
          const balancer = (await definition(childName(layout, region)))?.loadBalancer;
          const servers = isRecord(balancer) && Array.isArray(balancer.servers) ? balancer.servers : [];
          const urls = servers.filter(isRecord).map((server) => server.url);
          return urls.join() === layout.servers[region]!.join() ? [] : [region];
        }),
      );
      return wrong.flat();
    },
    close: () => agent.destroy(),
  };
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const content: unknown = JSON.parse(body);
    return isRecord(content) ? content : undefined;
  } catch {
    return undefined;
  }
}
