import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { httpCall, NoAnswer } from '../http-call.ts';
import type { Weights } from '../ports.ts';
import type { TraefikConfig } from './config.ts';

const AT_ONCE = 8;

export interface Sample {
  requests: number;
  /** Answers by the region that named itself in the header. */
  counts: Record<string, number>;
  /** Requests that no region answered: errors, time-outs, answers without the header. */
  unanswered: number;
  /** Percent by region of the answers that name one, to a tenth. */
  observed: Record<string, number>;
}

/** Sends requests through the edge, as clients do, and counts who answers. */
export async function takeSample(sample: NonNullable<TraefikConfig['sample']>, signal: AbortSignal): Promise<Sample> {
  const counts: Record<string, number> = {};
  let unanswered = 0;
  let left = sample.requests;
  const AgentClass = sample.url.startsWith('https:') ? TlsAgent : Agent;
  const agent = new AgentClass({ keepAlive: true, maxSockets: AT_ONCE });
  const headers: Record<string, string> = sample.host === undefined ? {} : { host: sample.host };
  const client = async () => {
    while (left-- > 0) {
      const region = await regionOfOneAnswer();
      if (region === undefined) unanswered += 1;
      else counts[region] = (counts[region] ?? 0) + 1;
    }
  };
  async function regionOfOneAnswer(): Promise<string | undefined> {
    try {
      const answer = await httpCall({ url: sample.url, headers, timeoutMs: sample.timeout, signal, agent });
      const value = answer.headers[sample.header.toLowerCase()];
      return answer.status < 500 && typeof value === 'string' && value !== '' ? value : undefined;
    } catch (error) {
      if (error instanceof NoAnswer) return undefined;
      throw error;
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, client));
  } finally {
    agent.destroy();
  }
  const named = sample.requests - unanswered;
  const observed = Object.fromEntries(
    Object.entries(counts).map(([region, count]) => [region, Math.round((count * 1000) / named) / 10]),
  );
  return { requests: sample.requests, counts, unanswered, observed };
}

/**
 * What contradicts the weights, in words; empty when the sample fits them. Other traffic takes turns with the
 * sample, so a share may be off by chance: three standard deviations, at least two points. None and all are exact.
 */
export function contradictions(sample: Sample, weights: Weights): string[] {
  const named = sample.requests - sample.unanswered;
  const problems: string[] = [];
  if (sample.unanswered > sample.requests / 20) {
    problems.push(`${sample.unanswered} of ${sample.requests} requests were answered by no region`);
  }
  for (const region of new Set([...Object.keys(weights), ...Object.keys(sample.counts)])) {
    const wanted = weights[region] ?? 0;
    const got = sample.observed[region] ?? 0;
    const share = wanted / 100;
    const exact = wanted === 0 || wanted === 100;
    const slack = exact ? 0 : Math.max(2, 300 * Math.sqrt((share * (1 - share)) / Math.max(named, 1)));
    if (Math.abs(got - wanted) > slack) problems.push(`${region} ${got} % instead of ${wanted} %`);
  }
  return problems;
}
