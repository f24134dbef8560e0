/** A team's own command as a step of a run. */
import { RampartError } from '../errors.ts';
import type { DriverContext, Receipt } from '../ports.ts';
import { type CommandResult, runCommand } from '../run-command.ts';
import { reveal } from '../secrets.ts';
import { asEnvironment, fillIn } from '../template.ts';
import { excerpt, HEARTBEAT_EVERY_MS, idempotencyKey, type OwnStepFacts, variablesOf } from './step.ts';

export interface OwnCommand {
  /** Program and arguments; `{{service}}`, `{{from}}`, `{{to}}`, `{{region}}`, `{{mode}}`, `{{runId}}`, `{{step}}`, `{{epoch}}`, `{{seq}}`. */
  command: string[];
  /** Extra environment; a value may be a whole secret reference. */
  env?: Record<string, string>;
}

const MAX_OUTPUT_BYTES = 16_384;
/** EX_TEMPFAIL of sysexits.h: "try again later". */
const TRY_AGAIN = 75;

/**
 * Runs the command to its end. It sees `PATH`, its `env`, the variables as `RAMPART_SERVICE`, … and
 * `RAMPART_IDEMPOTENCY_KEY`, nothing else of the worker's environment.
 * @returns facts `exitCode`, `ms`, `stdout`, `stderr`, the outputs cut to their ends and free of the step's secrets
 * @throws PreconditionFailed when it ends with an error or cannot be started; ProviderUnavailable for exit code 75,
 *   which asks for another attempt; DeadlineExceeded
 */
export async function runOwnCommand(config: OwnCommand, context: DriverContext, facts: OwnStepFacts): Promise<Receipt> {
  const variables = variablesOf(facts, context);
  const command = config.command.map((argument) => fillIn(argument, variables));
  const secret = await reveal(config.env ?? {}, context);
  const heart = setInterval(() => context.heartbeat({ step: facts.step, running: command[0]! }), HEARTBEAT_EVERY_MS);
  let result: CommandResult;
  try {
    result = await runCommand({
      command,
      env: {
        ...asEnvironment(variables),
        RAMPART_IDEMPOTENCY_KEY: idempotencyKey(facts, context),
        ...secret.values,
      },
      timeoutMs: facts.deadlineMs,
      maxBytes: MAX_OUTPUT_BYTES,
      signal: context.signal,
    });
  } finally {
    clearInterval(heart);
  }
  const { end, ms } = result;
  const stdout = secret.redact(result.stdout);
  const stderr = secret.redact(result.stderr);
  const said = excerpt(stderr) || excerpt(stdout) || 'it printed nothing';
  const name = `${facts.step}: ${command[0]}`;
  switch (end.kind) {
    case 'timeout': {
      const message = `${name} had not ended after ${facts.deadlineMs} ms and was ended: ${said}`;
      throw new RampartError('DeadlineExceeded', message, { remedy: 'Raise the `deadline` of the step, or mend it.' });
    }
    case 'not started': {
      const remedy = `The program must be there for the workers of ${facts.region ?? 'the control queue'}.`;
      throw new RampartError('PreconditionFailed', `${name} could not be started: ${end.why}`, { remedy });
    }
    case 'killed':
      throw new RampartError('PreconditionFailed', `${name} was ended by ${end.by}: ${said}`, {
        remedy: 'See who ended it; the system may lack memory.',
      });
    case 'exited': {
      const message = `${name} ended with exit code ${end.code}: ${said}`;
      if (end.code === TRY_AGAIN) throw new RampartError('ProviderUnavailable', message);
      if (end.code !== 0) {
        throw new RampartError('PreconditionFailed', message, { remedy: 'Mend what it reports, then retry the step.' });
      }
      const summary = `${name} ended well after ${Math.round(ms)} ms`;
      const output = { stdout: excerpt(stdout, 2_000), stderr: excerpt(stderr, 2_000) };
      return { already: false, at: context.now(), summary, facts: { exitCode: 0, ms: Math.round(ms), ...output } };
    }
  }
}
