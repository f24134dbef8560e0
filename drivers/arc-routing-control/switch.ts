/**
 * Brings the routing controls into the states that are wanted: the change is sent to one endpoint after the other until
 * one takes it, and believed when more than one shows it. Sending the same states again changes nothing, so an endpoint
 * whose answer was lost is no reason to stop; but between two attempts everybody is asked whether it is there already.
 */
import { AwsRefusal } from '../aws/errors.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { DriverContext } from '../ports.ts';
import { type Answer, type Cluster, nobody, type Survey } from './cluster.ts';
import type { ArcConfig, Control } from './config.ts';
import { type States, sameStates, showStates } from './states.ts';

const LOOK_EVERY_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

export interface Wish {
  component: string;
  controls: readonly Control[];
  /** What endpoints showed before: several, while some are behind. */
  before: readonly States[];
  wanted: States;
  /** As weights, for people: `eu-west 0 %, eu-central 100 %`. */
  shown: { before: string; wanted: string };
  /** Endpoints in the order in which they are to be asked: those first that answered just now. */
  order: readonly string[];
  /** Whether a person has accepted for this run that the component's safety rules are overridden. */
  mayOverride: boolean;
}

export interface Switched {
  /** Endpoints that show it, and those that did not answer. */
  shownBy: string[];
  silent: string[];
  /** Safety rules that were overridden. */
  overridden: string[];
}

/** @throws PreconditionFailed, Conflict, AccessDenied, ProviderUnavailable, NotApplied */
export async function bring(
  cluster: Cluster,
  config: ArcConfig,
  wish: Wish,
  context: DriverContext,
): Promise<Switched> {
  const { component, controls, wanted, before } = wish;
  const began = clock.monotonic();
  const overridden: string[] = [];
  let sent = false;
  let shownOnce = false;
  let refusal: RampartError | undefined;
  let last: Survey = { answers: [], silent: [], complete: true };
  const shows = ({ states }: Answer) => sameStates(states, wanted);
  const enough = (answers: readonly Answer[]) => answers.filter(shows).length >= config.confirm;

  async function look(): Promise<boolean> {
    last = await cluster.survey(enough);
    const shown = last.answers.filter(shows);
    shownOnce ||= shown.length > 0;
    const observed = describe(last, wish);
    context.heartbeat({ component, wanted: wish.shown.wanted, observed });
    return enough(last.answers) || (last.complete && shown.length > 0 && shown.length === last.answers.length);
  }

  /** Somebody else acted when the controls say neither what they said nor what is wanted, or no longer what they did. */
  function assertNobodyElse(): void {
    const known = [...before, wanted];
    const other = last.answers.find(({ states }) => !known.some((one) => sameStates(states, one)));
    const undone = shownOnce && last.answers.length > 0 && !last.answers.some(shows);
    if (other === undefined && !undone) return;
    const observed = describe(last, wish);
    const message = `${component}: wanted ${wish.shown.wanted}, but somebody else switches it: ${observed}`;
    throw new RampartError('Conflict', message, { remedy: 'See who, then start again.' });
  }

  /** Tries every endpoint once. @returns whether one took it, or shows it although its answer was lost */
  async function send(): Promise<boolean> {
    const silent: Survey['silent'] = [];
    for (const at of wish.order) {
      try {
        await cluster.update(at, wanted, overridden);
        return true;
      } catch (error) {
        if (!(error instanceof RampartError)) throw error;
        if (error instanceof AwsRefusal) {
          const more = rulesToOverride(error, config, wish, overridden);
          if (more.length > 0) {
            overridden.push(...more);
            return send();
          }
          refusal = refused(error, config, wish);
          if (mayPass(error) && clock.monotonic() - began < Math.max(config.ruleWait, LOOK_EVERY_MS)) return false;
          throw refusal;
        }
        silent.push({ at, error });
        if (error.details.maybeApplied === true) {
          if (await look()) return true;
          assertNobodyElse();
        }
      }
    }
    refusal = nobody(`${component}: to switch to ${wish.shown.wanted}`, silent);
    if (refusal.type !== 'ProviderUnavailable') throw refusal;
    return false;
  }

  const polling = {
    signal: context.signal,
    deadlineMs: config.deadline,
    intervalMs: LOOK_EVERY_MS,
    maxIntervalMs: LONGEST_PAUSE_MS,
  };
  const done = await poll(polling, async () => {
    // A rule refuses for a while after every change: also after the one that a person has just made.
    if (!sent && refusal !== undefined) assertNobodyElse();
    sent ||= await send();
    return (await look()) || undefined;
  });
  if (done) {
    return {
      shownBy: last.answers.filter(shows).map(({ at }) => at),
      silent: last.complete ? last.silent.map(({ at }) => at) : [],
      overridden,
    };
  }
  assertNobodyElse();
  if (!sent && refusal !== undefined) throw refusal;
  const message = `${component}: wanted ${wish.shown.wanted} (${showStates(controls, wanted)}), observed after ${config.deadline} ms: ${describe(last, wish)}`;
  throw new RampartError('NotApplied', message, {
    remedy: 'An endpoint took the change. It is looked at again by itself; see the cluster in the console of ARC.',
    details: { wanted: wish.shown.wanted },
  });
}

/** The wait period of a rule, and a change of somebody else that is just being made, pass by themselves. */
const mayPass = (error: AwsRefusal) => error.code === 'ConflictException' || isRule(error);

/** "The error message includes the ARN of the rule that blocked the update": there is no code of its own for it. */
function isRule({ code, message }: AwsRefusal): boolean {
  return ['ValidationException', 'ConflictException'].includes(code) && /safety\s?rule/i.test(message);
}

const rulesIn = (message: string): string[] => message.match(/arn:[\w-]+:[^\s'",;()]*\/safetyrule\/[\w-]+/g) ?? [];

/** Rules that stand in the way, that the component lists, and that a person has accepted to override. */
function rulesToOverride(error: AwsRefusal, config: ArcConfig, wish: Wish, already: readonly string[]): string[] {
  if (!wish.mayOverride || !isRule(error)) return [];
  const named = rulesIn(error.message);
  // A text that names no rule: whatever the component lists is what the person was told about.
  const rules = named.length === 0 ? config.override : config.override.filter((rule) => named.includes(rule));
  return rules.filter((rule) => !already.includes(rule));
}

function refused(error: AwsRefusal, config: ArcConfig, { component, shown, mayOverride }: Wish): RampartError {
  const toWhat = `${component}: to switch from ${shown.before} to ${shown.wanted}`;
  if (isRule(error)) {
    const rules = rulesIn(error.message);
    const which = rules.length === 0 ? 'a safety rule' : `the safety rule ${rules.join(' and ')}`;
    const listed = rules.every((rule) => config.override.includes(rule)) && config.override.length > 0;
    const remedy = !listed
      ? 'Make the change that the rule allows. To override the rule, list it as `override` of this component first.'
      : mayOverride
        ? 'It refuses although it is overridden: see the rule in the console of ARC.'
        : 'Make the change that the rule allows, or accept it by name: start or escalate with --override safetyRule.';
    const details = { code: error.code, rules };
    return new RampartError('PreconditionFailed', `${toWhat} is refused by ${which}: ${error.message}`, {
      remedy,
      details,
      cause: error,
    });
  }
  if (error.code === 'ConflictException') {
    return new RampartError(
      'ProviderUnavailable',
      `${toWhat} collides with another change of the cluster: ${error.message}`,
      {
        remedy: 'It is tried again by itself. See who else switches routing controls.',
        details: { code: error.code },
        cause: error,
      },
    );
  }
  const remedy =
    error.code === 'ResourceNotFoundException'
      ? 'Correct the ARNs of the routing controls, and see that the endpoints belong to their cluster.'
      : 'See the message; the topology asks for something that the cluster does not take.';
  return new RampartError('PreconditionFailed', `${toWhat}: ${error.message}`, { remedy, cause: error });
}

/** `us-east-1 and eu-west-1 show eu-west On, eu-central Off; no answer from us-west-2`. */
export function describe({ answers, silent }: Survey, { controls }: Pick<Wish, 'controls'>): string {
  const said = new Map<string, string[]>();
  for (const { at, states } of answers) {
    const text = showStates(controls, states);
    said.set(text, [...(said.get(text) ?? []), at]);
  }
  const parts = [...said].map(([text, by]) => `${by.join(', ')}: ${text}`);
  if (silent.length > 0) parts.push(`no answer from ${silent.map(({ at }) => at).join(', ')}`);
  return parts.join('; ') || 'nothing yet';
}
