/** A question asked over HTTP: the status, one field of a JSON answer, and how long it took. */
import { z } from 'zod';
import type { Component } from '../../topology/model.ts';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';
import { type HttpAnswer, httpCall, NoAnswer } from '../http-call.ts';
import type { Check, Driver, DriverContext } from '../ports.ts';
import { reveal } from '../secrets.ts';
import { expectationSchema, judgeLatency, judgeValue, resultOf, together, type Verdict } from '../verdict.ts';

const url = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as http://10.0.0.5:8080/readyz' })
  .refine((text) => !URL.canParse(text) || new URL(text).username === '', {
    error: 'no user or password in a URL: put the Authorization header into `secretHeaders`',
  });
const headerName = z.string().regex(/^[A-Za-z0-9-]+$/, 'a header name is made of letters, digits and dashes');
const status = z.int().min(100).max(599);

const configSchema = z.strictObject({
  url: url.optional().meta({
    description: 'Asked for every region that names no own url',
    examples: ['https://shop.example.com/readyz'],
  }),
  method: z.enum(['GET', 'HEAD', 'POST']).default('GET').meta({ description: 'It must change nothing' }),
  headers: z
    .record(headerName, z.string())
    .default({})
    .refine((headers) => !Object.keys(headers).some((name) => /authorization|cookie|token|secret|key/i.test(name)), {
      error: 'this header is a secret: name it in `secretHeaders`, by reference',
    })
    .meta({ description: 'Headers sent as they stand', examples: [{ Accept: 'application/json' }] }),
  secretHeaders: z
    .record(headerName, secretSchema)
    .default({})
    .meta({ description: 'Headers whose whole value is a secret', examples: [{ Authorization: '${env:CHECK_AUTH}' }] }),
  body: z.string().optional().meta({ description: 'Sent with POST' }),
  status: z
    .union([status, z.array(status).min(1)])
    .optional()
    .meta({ description: 'Expected status code, or any of a list; any 2xx when absent', examples: [200, [200, 204]] }),
  json: expectationSchema
    .extend({
      field: z
        .string()
        .min(1)
        .meta({ description: 'Dotted path into the JSON answer', examples: ['status', 'checks.0.state'] }),
    })
    .optional()
    .meta({ description: 'What one field of the JSON answer must be' }),
  latency: durationBetween(1, 600_000)
    .optional()
    .meta({ description: 'Longest time from the request to the last byte of the answer', examples: ['300ms'] }),
  timeout: durationBetween(1, 600_000)
    .prefault('5s')
    .meta({ description: 'Longest wait for an answer; after it the outcome is unknown', examples: ['5s'] }),
});
type HttpConfig = z.output<typeof configSchema>;

const nodeSchema = z.strictObject({
  url: url.optional().meta({ description: 'What is asked in this region', examples: ['http://10.1.0.5:8080/readyz'] }),
});

export const httpCheck: Driver<'check'> = {
  type: 'http',
  role: 'check',
  summary: 'HTTP: status, a field of a JSON answer, latency',
  config: configSchema,
  node: nodeSchema,
  secrets: ['secretHeaders.*'],
  capabilities: () => ({ role: 'check' }),
  local: () => false,
  validate(component) {
    if (typeof component.config.url === 'string') return [];
    const without = Object.values(component.sides).filter(({ nodes }) =>
      nodes.some((node) => node.config.url === undefined),
    );
    const message = 'needs a `url`, here or for the whole component';
    const missing = without.map(({ region }) => ({ path: ['sides', region], message, code: 'check_url_missing' }));
    return Object.keys(component.sides).length > 0 ? missing : [{ path: [], message, code: 'check_url_missing' }];
  },
  open: openHttp,
};

function openHttp(component: Component, context: DriverContext): Check {
  const config = component.config as unknown as HttpConfig;

  async function ask(address: string): Promise<Verdict> {
    const secret = await reveal(config.secretHeaders, context);
    const { method, body, timeout: timeoutMs } = config;
    const headers = { ...config.headers, ...secret.values };
    try {
      return judge(config, await httpCall({ url: address, method, headers, body, timeoutMs, signal: context.signal }));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      const threshold = showThreshold(config);
      const detail = secret.redact(error.message);
      return { outcome: 'unknown', observed: 'no answer', threshold, detail, unserved: 'silent' };
    }
  }

  return {
    async run(region) {
      const listed = component.sides[region]?.nodes ?? [];
      // A region without an own entry is asked at the component's url, if there is one.
      const nodes = listed.length > 0 ? listed : [{ name: component.name, config: {} as Record<string, unknown> }];
      const asked = nodes.map(({ name, config: node }) => ({ name, url: node.url ?? config.url }));
      const verdicts = await Promise.all(
        asked.map(async ({ name, url }) => ({ name, verdict: typeof url === 'string' ? await ask(url) : NOT_ASKED })),
      );
      return resultOf(verdicts, context.now());
    },
  };
}

const NOT_ASKED: Verdict = {
  outcome: 'unknown',
  observed: 'not asked',
  threshold: '',
  detail: 'there is no url for this region',
};

function judge(config: HttpConfig, answer: HttpAnswer): Verdict {
  const ok = isExpected(config.status, answer.status);
  const verdicts: Verdict[] = [
    {
      outcome: ok ? 'pass' : 'fail',
      observed: `status ${answer.status}`,
      threshold: `status ${showStatus(config.status)}`,
      detail: '',
    },
  ];
  // A body that comes with the wrong status is an error page: judging its field would say nothing.
  if (config.json !== undefined && ok) verdicts.push(judgeField(config.json, answer));
  verdicts.push(judgeLatency(answer.ms, config.latency));
  return together(verdicts);
}

function isExpected(expected: HttpConfig['status'], status: number): boolean {
  if (expected === undefined) return status >= 200 && status < 300;
  return Array.isArray(expected) ? expected.includes(status) : status === expected;
}

function judgeField(expectation: NonNullable<HttpConfig['json']>, answer: HttpAnswer): Verdict {
  const { field, ...expected } = expectation;
  let value: unknown;
  try {
    value = JSON.parse(answer.body);
  } catch {
    const verdict = judgeValue(field, undefined, expected);
    return {
      ...verdict,
      observed: 'no JSON',
      detail: answer.cut ? 'the answer is longer than 1 MiB' : 'the answer is not JSON',
    };
  }
  for (const key of field.split('.')) {
    const inside = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    value = inside ? (value as Record<string, unknown>)[key] : undefined;
  }
  return judgeValue(field, value, expected);
}

function showStatus(expected: HttpConfig['status']): string {
  return expected === undefined ? '2xx' : Array.isArray(expected) ? expected.join(' or ') : String(expected);
}

function showThreshold({ status, json, latency }: HttpConfig): string {
  const field = json === undefined ? '' : judgeValue(json.field, undefined, json).threshold;
  const bound = latency === undefined ? '' : `≤ ${latency} ms`;
  return [`status ${showStatus(status)}`, field, bound].filter(Boolean).join(', ');
}
