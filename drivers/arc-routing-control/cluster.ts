/**
 * The five endpoints of a cluster, each of which answers for all of it while it is up: "three out of five are always
 * accessible", and they take turns in being maintained. Every one is asked in its own region, once, for a bounded time.
 */
import type { Route53RecoveryClusterClient } from '@aws-sdk/client-route53-recovery-cluster';
import { type AwsApi, awsApi } from '../aws/client.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { CALLS } from './calls.ts';
import type { ArcConfig, Control } from './config.ts';
import type { State, States } from './states.ts';

/** What one endpoint says. */
export interface Answer {
  /** The endpoint's region of AWS. */
  at: string;
  states: States;
  /** Controls that AWS calls by another name than the topology does, in words. */
  misnamed: string[];
}

export interface Survey {
  /** In the order in which they came. */
  answers: Answer[];
  silent: Array<{ at: string; error: RampartError }>;
  /** False: some endpoints were not waited for, because enough had answered. */
  complete: boolean;
}

export interface Cluster {
  /** Asks all endpoints at once. @param enough ends it early */
  survey(enough: (answers: readonly Answer[]) => boolean): Promise<Survey>;
  /** One request with all controls, so that safety rules see one change. @param at the endpoint's region */
  update(at: string, states: States, override: readonly string[]): Promise<void>;
}

type Api = AwsApi<Route53RecoveryClusterClient, keyof (typeof CALLS)['calls']>;

export async function openCluster(
  component: string,
  config: ArcConfig,
  controls: readonly Control[],
  context: DriverContext,
): Promise<Cluster> {
  const limits = { timeoutMs: config.answerTimeout };

  const apiAt = ({ region, endpoint }: ArcConfig['endpoints'][number], signal: AbortSignal): Promise<Api> =>
    awsApi({
      load: () =>
        sdk().then(
          ({ Route53RecoveryClusterClient: Client }) =>
            (base) =>
              new Client(base),
        ),
      package: '@aws-sdk/client-route53-recovery-cluster',
      calls: CALLS,
      place: { region, endpoint },
      context: { ...context, signal },
      component,
    });

  // A missing package is told as such by the first client; after it the commands are there as well.
  await apiAt(config.endpoints[0]!, context.signal);
  const { GetRoutingControlStateCommand, UpdateRoutingControlStatesCommand } = await sdk();

  async function ask(endpoint: ArcConfig['endpoints'][number], signal: AbortSignal): Promise<Answer> {
    const api = await apiAt(endpoint, signal);
    const misnamed: string[] = [];
    const states = await Promise.all(
      controls.map(async ({ arn, name, region }) => {
        const seen = await api.call(
          'GetRoutingControlState',
          (client, options) => client.send(new GetRoutingControlStateCommand({ RoutingControlArn: arn }), options),
          limits,
        );
        const { RoutingControlName: called, RoutingControlState: state } = seen;
        if (state !== 'On' && state !== 'Off') {
          const message = `${endpoint.region} shows the state ${String(state)} for ${name} (${region})`;
          throw new RampartError('ProviderUnavailable', message, { remedy: 'It is asked again by itself.' });
        }
        if (called !== undefined && called !== name) {
          misnamed.push(`AWS calls the routing control of ${region} "${called}", the topology "${name}"`);
        }
        return [arn, state satisfies State] as const;
      }),
    );
    return { at: endpoint.region, states: Object.fromEntries(states), misnamed };
  }

  return {
    async survey(enough) {
      context.signal.throwIfAborted();
      const over = new AbortController();
      const signal = AbortSignal.any([context.signal, over.signal]);
      const answers: Answer[] = [];
      const silent: Survey['silent'] = [];
      const complete = await new Promise<boolean>((resolve, reject) => {
        const asked = config.endpoints.map(async (endpoint) => {
          try {
            const answer = await ask(endpoint, signal);
            if (over.signal.aborted) return;
            answers.push(answer);
            if (enough(answers)) resolve(false);
          } catch (error) {
            if (over.signal.aborted) return;
            if (!(error instanceof RampartError)) reject(error);
            else silent.push({ at: endpoint.region, error });
          }
        });
        Promise.all(asked).then(() => resolve(true), reject);
      }).finally(() => over.abort());
      return { answers, silent, complete };
    },

    async update(at, states, override) {
      const endpoint = config.endpoints.find(({ region }) => region === at)!;
      const api = await apiAt(endpoint, context.signal);
      const entries = Object.entries(states).map(([arn, state]) => ({
        RoutingControlArn: arn,
        RoutingControlState: state,
      }));
      const input = {
        UpdateRoutingControlStateEntries: entries,
        ...(override.length === 0 ? {} : { SafetyRulesToOverride: [...override] }),
      };
      await api.call(
        'UpdateRoutingControlStates',
        (client, options) => client.send(new UpdateRoutingControlStatesCommand(input), options),
        limits,
      );
    },
  };
}

const sdk = () => import('@aws-sdk/client-route53-recovery-cluster');

/** Controls that AWS calls by another name than the topology does, in words. */
export const misnamedIn = ({ answers }: Survey): string[] => [...new Set(answers.flatMap(({ misnamed }) => misnamed))];

/**
 * Why nobody answered, as one error: denied before anything else, since then waiting cannot help.
 * @param what what was asked for
 */
export function nobody(what: string, silent: Survey['silent']): RampartError {
  const denied = silent.find(({ error }) => error.type !== 'ProviderUnavailable');
  if (denied !== undefined) return denied.error;
  const each = silent.map(({ at, error }) => `${at}: ${short(error)}`).join('; ');
  return new RampartError('ProviderUnavailable', `${what}: none of ${silent.length} endpoints answered (${each})`, {
    remedy: "See the worker's network and the endpoints in the topology; AWS keeps three of the five up.",
  });
}

/** `eu-west-1: no answer in time` instead of the whole call's name. */
export function short({ message }: RampartError): string {
  return message.replace(/^route53-recovery-cluster \w+ \([^)]*\):? ?/, '');
}
