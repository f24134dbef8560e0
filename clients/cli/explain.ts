/** Any error as sentences for people. Never a stack trace. */
import { RampartError } from '../../drivers/errors.ts';
import { badInput, CliError, EXIT, failed } from './exit.ts';

/** What to say of an error that no verb has put into words itself. */
export function explain(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof RampartError) {
    const next = error.remedy === '' ? [] : [error.remedy];
    return error.type === 'InvalidInput' ? badInput(error.message, ...next) : failed('failed', error.message, ...next);
  }
  if (!(error instanceof Error)) return failed('failed', String(error));
  // By name, so that saying a plain error does not load Temporal's client.
  switch (error.name) {
    case 'AbortError':
      return new CliError(EXIT.interrupted, 'interrupted', { code: 'interrupted' });
    case 'TemporalAway':
      return failed('temporalAway', error.message, ...(error as Error & { remedies: string[] }).remedies);
    case 'BadConnectionConfig':
      return badInput(error.message, '`temporal config get` shows what the file says.');
    case 'NoWorker':
    case 'MessageNotTaken':
      return failed('noWorker', error.message, '`rampart doctor` shows which workers are missing.');
    case 'TaskFails':
      return failed('taskFails', error.message);
    default:
      return ofTemporal(error) ?? failed('failed', error.message.split('\n')[0] || error.name);
  }
}

interface GrpcCause {
  code: number;
  details: string;
}

/** gRPC failures of the Temporal server, by their status code. */
function ofTemporal(error: Error): CliError | null {
  const cause = [error, error.cause].find(
    (candidate): candidate is Error & GrpcCause =>
      candidate instanceof Error && 'code' in candidate && typeof candidate.code === 'number' && 'details' in candidate,
  );
  const name = error.constructor.name;
  if (name === 'NamespaceNotFoundError' || (cause?.code === 5 && /namespace/i.test(cause.details))) {
    const namespace = (error as Error & { namespace?: string }).namespace ?? '';
    return failed(
      'failed',
      `Temporal has no namespace ${namespace || 'of that name'}`,
      'Set TEMPORAL_NAMESPACE, or create it: temporal operator namespace create --namespace <name>',
    );
  }
  if (cause === undefined) return null;
  switch (cause.code) {
    case 1:
    case 4:
      return failed(
        'timedOut',
        'Temporal did not answer in time',
        '`rampart doctor` looks at the server and its workers.',
      );
    case 7:
    case 16:
      return failed(
        'failed',
        `Temporal refuses access: ${cause.details}`,
        'Look at TEMPORAL_API_KEY, TEMPORAL_TLS_* and the profile in temporal.toml.',
      );
    case 14:
      return failed(
        'temporalAway',
        `Temporal stopped answering: ${cause.details}`,
        'rampart escape <service> needs no Temporal.',
      );
    default:
      return failed('failed', `Temporal answered: ${cause.details}`);
  }
}
