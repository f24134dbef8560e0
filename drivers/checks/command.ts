/** A question asked by a program of the team's own, run by a worker of the region: its exit code, and what it prints. */
import { z } from 'zod';
import type { Component } from '../../topology/model.ts';
import { durationBetween, secretSchema, sizeSchema } from '../../topology/scalars.ts';
import type { Check, Driver, DriverContext } from '../ports.ts';
import { type CommandResult, runCommand } from '../run-command.ts';
import { reveal } from '../secrets.ts';
import { asEnvironment, fillIn } from '../template.ts';
import { expectationSchema, judgeValue, resultOf, together, type Verdict } from '../verdict.ts';

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a variable is made of letters, digits and underscores');
const exitCode = z.int().min(0).max(255);

const configSchema = z.strictObject({
  command: z
    .array(z.string())
    .min(1)
    .refine((list) => list[0] !== '', 'the first entry is the program and must not be empty')
    .meta({
      description: 'Program and arguments, without a shell; {{region}}, {{node}} and {{service}} are put in',
      examples: [['/usr/local/bin/queue-depth', '--region', '{{region}}']],
    }),
  env: z
    .record(variable, z.string())
    .default({})
    .meta({ description: 'Its environment, besides PATH and RAMPART_REGION, RAMPART_NODE, RAMPART_SERVICE' }),
  secretEnv: z
    .record(variable, secretSchema)
    .default({})
    .meta({ description: 'Environment variables whose whole value is a secret' }),
  exitCode: exitCode.default(0).meta({ description: 'Exit code that passes' }),
  unknownExitCodes: z
    .array(exitCode)
    .default([3, 126, 127])
    .meta({ description: 'Exit codes that say "cannot tell"; every other one fails' }),
  output: expectationSchema
    .optional()
    .meta({ description: 'What its standard output must be, read as a number where it looks like one' }),
  timeout: durationBetween(1, 3_600_000)
    .prefault('10s')
    .meta({ description: 'After it the program is ended and the outcome is unknown', examples: ['10s'] }),
  maxOutput: sizeSchema.prefault('16KiB').meta({ description: 'Longest output kept', examples: ['16KiB'] }),
});
type CommandConfig = z.output<typeof configSchema>;

export const commandCheck: Driver<'check'> = {
  type: 'command',
  role: 'check',
  summary: "A program of the team's own: exit code and output",
  config: configSchema,
  node: z.strictObject({
    env: z.record(variable, z.string()).optional().meta({ description: 'Environment for this region alone' }),
  }),
  secrets: ['secretEnv.*'],
  capabilities: () => ({ role: 'check' }),
  local: () => true,
  open: openCommand,
};

function openCommand(component: Component, context: DriverContext): Check {
  const config = component.config as unknown as CommandConfig;

  async function ask(region: string, node: string, ownEnv: Record<string, string>): Promise<Verdict> {
    const variables = { region, node, service: context.run.service };
    const secret = await reveal(config.secretEnv, context);
    const result = await runCommand({
      command: config.command.map((argument) => fillIn(argument, variables)),
      env: { ...asEnvironment(variables), ...config.env, ...ownEnv, ...secret.values },
      timeoutMs: config.timeout,
      maxBytes: config.maxOutput,
      signal: context.signal,
    });
    const verdict = judge(config, result);
    return { ...verdict, observed: secret.redact(verdict.observed), detail: secret.redact(verdict.detail) };
  }

  return {
    async run(region) {
      const listed = component.sides[region]?.nodes ?? [];
      const nodes = listed.length > 0 ? listed : [{ name: component.name, config: {} as Record<string, unknown> }];
      const verdicts = await Promise.all(
        nodes.map(async ({ name, config: node }) => ({
          name,
          verdict: await ask(region, name, (node.env ?? {}) as Record<string, string>),
        })),
      );
      return resultOf(verdicts, context.now());
    },
  };
}

function judge(config: CommandConfig, { end, stdout, stderr }: CommandResult): Verdict {
  const threshold = `exit code ${config.exitCode}`;
  const said = lastLine(stderr) || lastLine(stdout);
  const unknown = (observed: string): Verdict => ({ outcome: 'unknown', observed, threshold, detail: said });
  if (end.kind === 'not started') return { ...unknown('not started'), detail: end.why };
  if (end.kind === 'timeout') return unknown(`not ended after ${config.timeout} ms`);
  if (end.kind === 'killed') return unknown(`ended by ${end.by}`);
  const observed = `exit code ${end.code}`;
  if (end.code !== config.exitCode) {
    if (config.unknownExitCodes.includes(end.code)) return unknown(observed);
    return { outcome: 'fail', observed, threshold, detail: said };
  }
  const verdict: Verdict = { outcome: 'pass', observed, threshold, detail: '' };
  if (config.output === undefined) return verdict;
  const text = stdout.trim();
  const value = text === '' ? undefined : typeof config.output.equals === 'string' ? text : readScalar(text);
  return together([verdict, judgeValue('output', value, config.output)]);
}

function readScalar(text: string): string | number | boolean {
  if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return Number(text);
  return text === 'true' ? true : text === 'false' ? false : text;
}

function lastLine(text: string): string {
  return (text.trim().split('\n').at(-1) ?? '').slice(0, 300);
}
