/**
 * The manual commands for a service's present state, for the day when nothing of this runs. Read from the systems
 * themselves, from this machine; and the page on disk that every run refreshes.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Driver } from '../drivers/ports.ts';
import { notMade } from '../plan/escape-note.ts';
import { guardNote } from '../plan/guard-note.ts';
import type { Reading } from '../plan/parts.ts';
import type { Component, Service, Topology } from '../topology/model.ts';
import type { Env } from './connection.ts';
import { type Beside, localContext, openPort, stateDirectory } from './local-context.ts';
import { componentsOf } from './observe.ts';

export interface EscapeStep {
  title: string;
  component: string;
  /** Lines for a shell; `#` begins an explanation. */
  commands: string[];
}

/** Longest time for reading one component while its commands are made, in milliseconds. */
const COMPONENT_MS = 10_000;

export interface EscapeInput {
  topology: Topology;
  service: Service;
  /** Region to leave and region to go to. */
  from: string;
  to: string;
  drivers: ReadonlyMap<string, Driver>;
  env: Env;
  beside: Beside;
}

/**
 * From where to where. What was observed decides before what a person says: with a region taken for the one to leave
 * that it is not, the page would promote beside what it does not fence.
 * @returns `contrary`: the person's word is not what was observed
 */
export function directionOf(
  reading: Pick<Reading, 'from' | 'fromSource' | 'to'>,
  regions: readonly string[],
  said: { from?: string; to?: string },
): { from: string | null; to: string | null; contrary: boolean } {
  const to = said.to ?? reading.to;
  const others = regions.filter((region) => region !== to);
  // Without a source it is a region that is not the target, whichever that is; without a target it is any.
  const guessed = reading.fromSource === 'none';
  const seen = reading.from === to || (guessed && to === null) ? null : reading.from;
  const left = guessed ? (said.from ?? seen) : (seen ?? said.from);
  const from = left ?? (others.length === 1 ? others[0]! : null);
  return { from, to, contrary: said.from !== undefined && said.from !== from };
}

/** What to do by hand, in the order of a run. A component whose commands cannot be made says why in its place. */
export async function escapeSteps(input: EscapeInput): Promise<EscapeStep[]> {
  const { service, from, to, drivers } = input;
  const components = componentsOf(input.topology, service);
  const all = service.components.map((name) => components[name]!);
  const workloads = all.filter(({ role }) => role === 'workload');
  const routers = all.filter(({ role }) => role === 'router');
  const endpoints = routers.filter(({ capabilities }) => capabilities.kind === 'endpoint');
  const edges = routers.filter(({ capabilities }) => capabilities.kind !== 'endpoint');
  const context = () => localContext(input.env, service.name, AbortSignal.timeout(COMPONENT_MS), input.beside);

  const stores = all.filter(({ role }) => role === 'store');
  // Read once: the two parts of a store's commands must be about the same state.
  const readings = new Map(
    stores.map((one) => [one, openPort<'store'>(drivers, one, context()).escape(from, to)] as const),
  );
  const store = (one: Component, part: 'now' | 'later', title: string) =>
    step(one, title, async () => (await readings.get(one)!)[part]);
  const router = (one: Component, title: string) =>
    step(one, title, () => openPort<'router'>(drivers, one, context()).escape(to));
  const workload = (one: Component, region: string, state: 'active' | 'standby' | 'drained', title: string) =>
    one.sides[region] === undefined
      ? []
      : [step(one, title, () => openPort<'workload'>(drivers, one, context()).escape(region, state))];

  const steps = await Promise.all([
    ...workloads.flatMap((one) => workload(one, to, 'active', `Make ${one.name} ready in ${to}`)),
    // An app that writes through the writer endpoint needs no stopping: the fence does it.
    ...(service.writes === 'local' ? workloads : []).flatMap((one) =>
      workload(one, from, 'standby', `Stop the writers of ${one.name} in ${from}`),
    ),
    ...stores.map((one) => store(one, 'now', `Move ${one.name} from ${from} to ${to}`)),
    ...endpoints.map((one) => router(one, `Point ${one.name} at ${to}, only when ${to} takes writes`)),
    ...edges.map((one) => router(one, `Send the traffic of ${one.name} to ${to}`)),
    ...workloads.flatMap((one) => workload(one, from, 'drained', `Later: drain ${one.name} in ${from}`)),
    // As a run leaves it: drained, it would not pass the checks of the way back.
    ...workloads.flatMap((one) =>
      workload(one, from, 'standby', `Later: when nothing is left at ${one.name} in ${from}, leave it as standby`),
    ),
    // Last: clients are served before anything protects them again.
    ...stores.map((one) => store(one, 'later', `Later: let every side of ${one.name} follow ${to}`)),
  ]);
  return [...guardSteps(service, from, to, stores), ...steps];
}

/** What acts by itself beside the person at the keyboard. Nothing in it is run as it is printed. */
function guardSteps(service: Service, from: string, to: string, stores: Component[]): EscapeStep[] {
  const commands = guardNote(service, from, to);
  if (commands.length === 0) return [];
  return stores.map((one) => ({
    title: `Know what the guard of ${service.name} does to ${one.name} in ${from}`,
    component: one.name,
    commands,
  }));
}

async function step(component: Component, title: string, make: () => Promise<string[]>): Promise<EscapeStep> {
  let commands: string[];
  try {
    commands = await make();
  } catch (error) {
    commands = notMade(error);
  }
  return { title, component: component.name, commands };
}

export interface EscapePage {
  path: string;
  /** Milliseconds since the epoch. */
  writtenAt: number;
  text: string;
}

/** The newest page that a run wrote on this machine; `null` when there is none. */
export async function escapePage(env: Env, service: string): Promise<EscapePage | null> {
  const state = stateDirectory(env);
  const places = await readdir(state).catch(() => [] as string[]);
  const folders = [state, ...places.map((place) => join(state, place))];
  const found = await Promise.all(
    folders.map(async (folder): Promise<EscapePage | null> => {
      const path = join(folder, 'escape', `${service}.md`);
      try {
        const [{ mtimeMs }, text] = await Promise.all([stat(path), readFile(path, 'utf8')]);
        return { path, writtenAt: mtimeMs, text };
      } catch {
        return null;
      }
    }),
  );
  const pages = found.filter((page) => page !== null);
  return pages.sort((a, b) => b.writtenAt - a.writtenAt)[0] ?? null;
}
