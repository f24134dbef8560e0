/** A question asked of a monitoring system: the value of an instant query, of every series that it gives. */
import { z } from 'zod';
import type { Component } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import { displayUrl, httpCall, NoAnswer } from '../http-call.ts';
import type { Check, Driver, DriverContext } from '../ports.ts';
import { reveal } from '../secrets.ts';
import { fillIn } from '../template.ts';
import { expectationSchema, judgeValue, resultOf, showExpectation, together, type Verdict } from '../verdict.ts';

const url = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as http://prometheus.example.com:9090' })
  .refine((text) => !URL.canParse(text) || new URL(text).username === '', {
    error: 'no user or password in a URL: put the Authorization header into `secretHeaders`',
  });
const headerName = z.string().regex(/^[A-Za-z0-9-]+$/, 'a header name is made of letters, digits and dashes');

const configSchema = z.strictObject({
  url: url.optional().meta({
    description: 'Address of Prometheus, or of what speaks its API, for every region that names no own url',
    examples: ['http://prometheus.example.com:9090'],
  }),
  query: z
    .string()
    .min(1)
    .meta({
      description:
        'PromQL; {{region}}, {{node}} and {{service}} are put in. Every series of the answer must be as expected',
      examples: ['sum(rate(http_requests_total{region="{{region}}",code=~"5.."}[1m]))'],
    }),
  expect: expectationSchema,
  secretHeaders: z
    .record(headerName, secretSchema)
    .default({})
    .meta({
      description: 'Headers whose whole value is a secret',
      examples: [{ Authorization: '${env:PROMETHEUS_AUTH}' }],
    }),
  timeout: durationBetween(1, 600_000)
    .prefault('5s')
    .meta({ description: 'Longest wait for an answer; after it the outcome is unknown', examples: ['5s'] }),
});
type PrometheusConfig = z.output<typeof configSchema>;

const nodeSchema = z.strictObject({
  url: url.optional().meta({
    description: 'The Prometheus that is asked about this region',
    examples: ['http://prometheus.eu-west.example.com:9090'],
  }),
});

export const prometheusCheck: Driver<'check'> = {
  type: 'prometheus',
  role: 'check',
  summary: 'Prometheus: the value of a query',
  config: configSchema,
  node: nodeSchema,
  secrets: ['secretHeaders.*'],
  capabilities: () => ({ role: 'check' }),
  local: () => false,
  validate(component) {
    if (typeof component.config.url === 'string') return [];
    const message = 'needs a `url`, here or for the whole component';
    const without = Object.values(component.sides).filter(({ nodes }) =>
      nodes.some((node) => node.config.url === undefined),
    );
    const missing = without.map(({ region }) => ({ path: ['sides', region], message, code: 'check_url_missing' }));
    return Object.keys(component.sides).length > 0 ? missing : [{ path: [], message, code: 'check_url_missing' }];
  },
  open: openPrometheus,
};

function openPrometheus(component: Component, context: DriverContext): Check {
  const config = component.config as unknown as PrometheusConfig;
  const threshold = `value ${showExpectation(config.expect)}`;
  const unknown = (observed: string, detail: string): Verdict => ({ outcome: 'unknown', observed, threshold, detail });

  async function ask(base: string, query: string): Promise<Verdict> {
    const secret = await reveal(config.secretHeaders, context);
    const address = new URL(base);
    address.pathname = `${address.pathname.replace(/\/$/, '')}/api/v1/query`;
    // In the body: a query may be longer than a URL may be.
    const call = {
      url: address.href,
      method: 'POST',
      headers: { ...secret.values, 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ query }).toString(),
      timeoutMs: config.timeout,
      signal: context.signal,
    };
    try {
      const answer = await httpCall(call);
      return judge(config, answer.body, (text) => unknown(`status ${answer.status}`, secret.redact(text)));
    } catch (error) {
      // That the monitoring is away says nothing about what it watches: no `unserved`.
      if (!(error instanceof NoAnswer)) throw error;
      return unknown('no answer', secret.redact(`${displayUrl(base)}: ${error.message}`));
    }
  }

  return {
    async run(region) {
      const listed = component.sides[region]?.nodes ?? [];
      const nodes = listed.length > 0 ? listed : [{ name: component.name, config: {} as Record<string, unknown> }];
      const verdicts = await Promise.all(
        nodes.map(async ({ name, config: node }) => {
          const base = node.url ?? config.url;
          if (typeof base !== 'string')
            return { name, verdict: unknown('not asked', 'there is no url for this region') };
          const query = fillIn(config.query, { region, node: name, service: context.run.service });
          return { name, verdict: await ask(base, query) };
        }),
      );
      return resultOf(verdicts, context.now());
    },
  };
}

/** Series that a text names; the others are judged all the same. */
const MOST_NAMED = 3;

interface QueryAnswer {
  status?: string;
  error?: string;
  data?: { resultType?: string; result?: unknown };
}

function judge(config: PrometheusConfig, body: string, unknown: (detail: string) => Verdict): Verdict {
  let answer: QueryAnswer | null;
  try {
    answer = JSON.parse(body) as QueryAnswer | null;
  } catch {
    return unknown('the answer is not JSON: is this the address of Prometheus?');
  }
  if (answer?.status !== 'success') return unknown(String(answer?.error ?? 'the query failed').slice(0, 300));
  const { resultType, result } = answer.data ?? {};
  const values = valuesOf(resultType, result);
  if (values === null) return unknown(`the query gives a ${resultType ?? 'nothing'}: it must give a value now`);
  // No series is no value: whether that is well or not the query must say, for example with `or vector(0)`.
  if (values.length === 0) return judgeValue('value', undefined, config.expect);
  const verdicts = values.map((value) => judgeValue('value', value, config.expect));
  const worst = ['fail', 'unknown', 'pass'].flatMap((outcome) => verdicts.filter((one) => one.outcome === outcome));
  return together([...worst.slice(0, MOST_NAMED)]);
}

/** `null` for what is no value of this moment (a range, a text). */
function valuesOf(type: string | undefined, result: unknown): unknown[] | null {
  // Prometheus writes values as text, so that NaN and Inf can be told.
  const read = (sample: unknown): unknown => {
    const value = Array.isArray(sample) ? Number(sample[1]) : Number.NaN;
    return Number.isNaN(value) ? undefined : value;
  };
  if (type === 'scalar') return [read(result)];
  if (type !== 'vector' || !Array.isArray(result)) return null;
  return result.map((series) => read((series as { value?: unknown } | null)?.value));
}
