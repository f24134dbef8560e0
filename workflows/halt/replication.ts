/** Keeps a corruption out of the replicas that have not applied it yet, and lets them go on at the end. */
import { ActivityCancellationType, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { HaltActivities, HaltTarget, ObserveCall } from '../../activities/contract.ts';
import type { ReplayFact } from '../../drivers/ports.ts';
import type { HaltedReplica } from '../../evidence/halt-record.ts';
import type { Component } from '../../topology/model.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { causeOf } from '../run/errors.ts';
import type { HaltState } from './state.ts';

/** A server is told, and confirms within 10 s; with the connection, in milliseconds. */
const CALL_MS = 20_000;
/** A worker beside the system that does not take the call is passed by over the network, in milliseconds. */
const WORKER_MS = 3_000;
/** Between two tries to let replicas go on, and how many there are: two minutes. */
export const RESUME_TRIES = 8;
export const RESUME_PAUSE_MS = 15_000;

type Verb = 'readReplay' | 'pauseReplay' | 'resumeReplay';

function on(queue: string, summary: string): HaltActivities {
  return proxyActivities<HaltActivities>({
    taskQueue: queue,
    summary,
    startToCloseTimeout: CALL_MS,
    // Nothing may still be on its way to a replica when the next call decides about it.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { maximumAttempts: 2, initialInterval: 500 },
    ...(queue === CONTROL_QUEUE ? {} : { scheduleToStartTimeout: WORKER_MS }),
  });
}

const pausable = (target: HaltTarget): Component[] =>
  target.service.components
    .map((name) => target.components[name]!)
    .filter(({ role, capabilities }) => role === 'store' && capabilities.pausesReplay === true);

/** Reads every replica before anything is told: what was paused by somebody else stays paused at the end. */
export async function readReplicas(state: HaltState): Promise<void> {
  const target = state.target!;
  const facts = await everywhere(state, 'readReplay', () => true);
  const known = new Map(state.record.replicas.map((one) => [keyOf(one), one]));
  // A former primary that follows by now is not what was to be kept from going on.
  const first = state.record.observed === null;
  state.record.replicas = facts
    .filter(({ component, fact }) => known.has(keyOf({ component, ...fact })) || (first && fact.state !== 'none'))
    .map(({ component, fact }) => {
      const { node, region } = fact;
      const before = fact.state === 'unknown' ? null : fact;
      const old = known.get(keyOf({ component, region, node })) ?? { before, pausedAt: null, slipped: [] };
      return { component, region, node, ...old, before: old.before ?? before, now: fact };
    });
  const stores = target.service.components
    .map((name) => target.components[name]!)
    .filter(({ role }) => role === 'store');
  state.record.unpaused = stores
    .filter((component) => !pausable(target).includes(component))
    .map(({ name, type }) => ({ component: name, text: `the driver ${type} cannot pause replication: it goes on` }));
}

/** Pauses what was seen applying. What could not be paused is tried again by the next call. */
export async function pauseReplicas(state: HaltState): Promise<void> {
  const wanted = new Set(state.record.replicas.filter(isOurs).map(keyOf));
  if (wanted.size === 0) return;
  const facts = await everywhere(state, 'pauseReplay', (one) => wanted.has(keyOf(one)));
  for (const { component, fact } of facts) {
    const replica = state.record.replicas.find((one) => keyOf(one) === keyOf({ component, ...fact }));
    if (replica === undefined) continue;
    const slipped = replica.pausedAt !== null && fact.state === 'paused' && fact.changed;
    if (slipped) replica.slipped = [...replica.slipped, fact.at].slice(-20);
    if (fact.state === 'paused') replica.pausedAt ??= fact.at;
    if (slipped || fact.state !== replica.now.state || fact.detail !== replica.now.detail)
      state.note(
        `${fact.node}: ${slipped ? `had gone on (a restart forgets the pause); ${fact.detail}` : fact.detail}${at(fact)}`,
      );
    replica.now = fact;
  }
}

/** Lets go on what this halt has paused. @returns the nodes of which it is not known that they do */
export async function resumeReplicas(state: HaltState): Promise<HaltedReplica[]> {
  const paused = state.record.replicas.filter(
    (one) => isOurs(one) && one.now.state !== 'applying' && one.now.state !== 'none',
  );
  const wanted = new Set(paused.map(keyOf));
  if (wanted.size === 0) return [];
  for (const { component, fact } of await everywhere(state, 'resumeReplay', (one) => wanted.has(keyOf(one)))) {
    const replica = state.record.replicas.find((one) => keyOf(one) === keyOf({ component, ...fact }));
    if (replica === undefined) continue;
    if (fact.detail !== replica.now.detail) state.note(`${fact.node}: ${fact.detail}${at(fact)}`);
    replica.now = fact;
  }
  return paused.filter(({ now }) => now.state !== 'applying' && now.state !== 'none');
}

/**
 * Only what was seen applying before it was told anything: what somebody else has paused stays as they left it, and
 * one that could not be read waits until it can.
 */
const isOurs = ({ before }: HaltedReplica): boolean => before?.state === 'applying';

const keyOf = ({ component, region, node }: { component: string; region: string; node: string }): string =>
  `${component} ${region} ${node}`;

function at({ applied, lastCommitAt }: ReplayFact): string {
  const when = lastCommitAt === null ? '' : `, last commit ${new Date(lastCommitAt).toISOString()}`;
  return applied === null ? '' : ` (applied to ${applied.text}${when})`;
}

/** Each node from the worker beside it; where none answers, over the network. */
async function everywhere(
  state: HaltState,
  verb: Verb,
  wanted: (one: { component: string; region: string; node: string }) => boolean,
): Promise<Array<{ component: string; fact: ReplayFact }>> {
  const { service, replication } = state.target!;
  if (!replication && verb !== 'readReplay') return [];
  const { workflowId, runId, by } = state.record;
  const run = { workflowId, runId, service: service.name, by };
  const { name, group } = service;
  const calls = pausable(state.target!).flatMap((component) =>
    Object.values(component.sides).flatMap((side) =>
      side.nodes
        .filter((node) => wanted({ component: component.name, region: side.region, node: node.name }))
        .map(async (node) => {
          const call: ObserveCall = { run, component, region: side.region, nodes: [node.name] };
          const whole = { ...call, service: group === undefined ? { name } : { name, group } };
          const summary = `${verb}:${component.name}@${side.region}`;
          let why = '';
          for (const queue of new Set([node.queue, CONTROL_QUEUE])) {
            try {
              const [fact] = await on(queue, summary)[verb](whole);
              if (fact !== undefined && (fact.state !== 'unknown' || queue === CONTROL_QUEUE))
                return { component: component.name, fact };
            } catch (error) {
              if (isCancellation(error)) throw error;
              why = causeOf(error).message;
            }
          }
          return { component: component.name, fact: unread(node.name, side.region, why) };
        }),
    ),
  );
  return Promise.all(calls);
}

function unread(node: string, region: string, detail: string): ReplayFact {
  const nothing = { applied: null, received: null, lastCommitAt: null, changed: false };
  return { node, region, state: 'unknown', ...nothing, at: Date.now(), detail };
}
