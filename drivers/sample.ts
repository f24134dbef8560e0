/** Counts which region answers clients: what a router says it does, measured from outside. */
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { z } from 'zod';
import { durationBetween } from '../topology/scalars.ts';
import { httpCall, NoAnswer } from './http-call.ts';
import type { Weights } from './ports.ts';

const AT_ONCE = 8;

export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as http://10.0.0.5:8080' })
  .refine((text) => !URL.canParse(text) || new URL(text).username === '', {
    error: 'no user or password in a URL: they would be shown in plans and logs',
  });

/** How a router's split is measured. */
export const sampleSchema = z
  .strictObject({
    url: httpUrl.meta({
      description: 'Address that goes through the edge, as clients use it',
      examples: ['http://edge.example.com/healthz'],
    }),
    header: z
      .string()
      .default('x-region')
      .meta({ description: 'Response header in which each region names itself', examples: ['x-region'] }),
    host: z
      .string()
      .optional()
      .meta({ description: 'Host header, when the URL is an address', examples: ['shop.example.com'] }),
    requests: z
      .int()
      .min(20)
      .max(10_000)
      .default(200)
      .meta({ description: 'Requests sent to measure the split', examples: [200, 1000] }),
    timeout: durationBetween(10, 60_000)
      .prefault('2s')
      .meta({ description: 'Longest wait for one request', examples: ['2s'] }),
  })
  .meta({
    description: 'How the split is measured from outside. Without it only the read back through the API counts',
  });

export type SampleConfig = z.output<typeof sampleSchema>;

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
export async function takeSample(sample: SampleConfig, signal: AbortSignal): Promise<Sample> {
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
  const problems = unexplained(sample);
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

/** Why a sample says too little: whose answers those were is not known, and they may be anybody's. */
export function unexplained({ unanswered, requests }: Sample): string[] {
  return unanswered > requests / 20 ? [`${unanswered} of ${requests} requests were answered by no region`] : [];
}
