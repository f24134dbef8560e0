/** What a look at a store shows: writable sides, fences, lag, protection, slots. Pure. */
import { lagOf } from '../findings/stores.ts';
import { follows, isOpen, type NodeView, type StoreView } from '../sides.ts';
import type { Health, HealthFinding, Look } from './model.ts';

/** A finding before it is known since when it stands. `holdMs`: how long it must, when that is not its code's time. */
export type Draft = Omit<HealthFinding, 'since'> & { holdMs?: number };

/** A logical subscriber may be away for a while without anything being wrong. */
const LOGICAL_HOLD_MS = 3_600_000;

export function storeFindings(look: Look, view: StoreView, returned: Health['returned']): Draft[] {
  return [
    ...writableFindings(look, view, returned),
    ...view.nodes.flatMap((node) => nodeFindings(look, view, node)),
    ...view.nodes.flatMap((node) => slotFindings(view, node)),
  ];
}

const at = ({ name, region }: NodeView): string => `${name} in ${region}`;

function writableFindings({ service, run }: Look, view: StoreView, returned: Health['returned']): Draft[] {
  const component = view.store.name;
  const base = { component, region: null, severity: 'critical' as const };
  const { name } = service;
  if (view.writable.length > 1) {
    const sides = view.writable.map((node) => `${at(node)} on timeline ${node.seen?.timeline ?? '?'}`);
    const message = `${view.writable.length} nodes of ${component} accept writes: ${sides.join(', ')}`;
    return [{ ...base, code: 'twoWritable', message, remedy: splitRemedy(service, run, returned) }];
  }
  if (view.writable.length === 1) return [];
  const states = view.nodes.map((node) => `${node.name} ${node.state}`).join(', ');
  const fenced = view.nodes.filter((node) => node.state === 'fenced');
  const remedy = `rampart status ${name}; without Temporal: rampart escape ${name}`;
  const found: Draft[] = [
    { ...base, code: 'noneWritable', message: `no node of ${component} accepts writes: ${states}`, remedy },
  ];
  if (fenced.length > 0) {
    const message = `${fenced.map(at).join(' and ')} is fenced, no node of ${component} accepts writes, and no run is at work`;
    const again = `Start the same failover again: it resumes from what it finds. Without Temporal: rampart escape ${name}`;
    found.push({ ...base, code: 'fenceForgotten', message, remedy: again });
  }
  return found;
}

function splitRemedy(service: Look['service'], run: Look['run'], returned: Health['returned']): string {
  const byHand = `rampart escape ${service.name} prints the commands for fencing by hand`;
  if (run !== null)
    return `${run.workflowId} (${run.type}) is at work and holds the lock: rampart status ${service.name}; ${byHand}`;
  if (returned === null) return `Find out which side is right; ${byHand}`;
  if (returned.doubts.length > 0)
    return `It is not certain which side is old: ${returned.doubts.join('; ')}. Find out; ${byHand}`;
  if (service.returningPrimary === 'fence')
    return `refence fences ${returned.from}; when it has, rampart reprotect ${service.name} brings it back as a replica`;
  return `rampart refence ${service.name} fences ${returned.from}; then rampart reprotect ${service.name} brings it back as a replica`;
}

function nodeFindings({ service }: Look, view: StoreView, node: NodeView): Draft[] {
  const base = { component: view.store.name, region: node.region, severity: 'warning' as const };
  const { name } = service;
  const found: Draft[] = [];
  if (isOpen(node)) {
    const { workflowId, runId } = node.seen!.journal!;
    const message = `${at(node)} has an open journal of ${workflowId} (run ${runId}), and no run is at work`;
    const remedy = `Start the same run again: it adopts what is saved there. rampart history ${name} shows which it was.`;
    found.push({ ...base, code: 'openJournal', message, remedy });
  }
  if (node.state === 'unknown') {
    const message = `the state of ${at(node)} is not known: ${node.detail || 'no clear answer'}`;
    found.push({
      ...base,
      code: 'nodeUnreadable',
      message,
      remedy: 'rampart doctor shows which address, credential or right is wrong.',
    });
    return found;
  }
  if (node.state === 'writable' && node.seen?.suspended !== undefined) {
    const message = `${at(node)} has ${node.seen.suspended.join(' and ')} set aside since its promotion: a commit waits for no replica`;
    const remedy = `rampart reprotect ${name} puts back what the replicas that are there allow.`;
    found.push({ ...base, code: 'syncSuspended', message, remedy });
  }
  // Where nothing accepts writes there is nobody to follow.
  if (view.writable.length !== 1 || node.state === 'writable') return found;
  if (!follows(view, node)) {
    const primary = view.writable[0]!;
    const message = `${at(node)} does not follow ${primary.name}: ${node.detail || node.state}`;
    const remedy = ['fenced', 'stopped', 'replica'].includes(node.state)
      ? `rampart reprotect ${name}`
      : `Bring its host back; then rampart reprotect ${name}`;
    found.push({ ...base, code: 'protectionDebt', message, remedy });
    return found;
  }
  return [...found, ...lagFindings(service, view, node)];
}

function lagFindings(service: Look['service'], view: StoreView, node: NodeView): Draft[] {
  const base = { component: view.store.name, region: node.region, severity: 'warning' as const };
  const lag = lagOf(view, node);
  if (lag === null || !lag.fresh || (lag.seconds === null && lag.bytes === null)) {
    const age = lag === null ? '' : `; the last reading is ${Math.round(lag.freshnessMs / 1000)} s old`;
    const message = `how far ${at(node)} is behind is not known${age}`;
    return [{ ...base, code: 'lagUnknown', message, remedy: 'A planned move needs a fresh reading: rampart doctor.' }];
  }
  const { rpoMs } = service.tier;
  const late = lag.seconds !== null && lag.seconds * 1000 > rpoMs;
  if (!late) return [];
  const message = `${at(node)} is ${lag.seconds!.toFixed(1)} s behind, the objective is ${rpoMs / 1000} s`;
  const remedy = 'Look for long queries on the replica, a slow link, or a burst of writes.';
  return [{ ...base, code: 'lagAboveObjective', message, remedy }];
}

/** Slots nobody uses keep the log of their server for ever. */
function slotFindings(view: StoreView, node: NodeView): Draft[] {
  const base = { component: view.store.name, region: node.region, severity: 'warning' as const };
  return (node.seen?.slots ?? []).flatMap((slot): Draft[] => {
    const holder = view.nodes.find((other) => other.name === slot.holder && other.name !== node.name);
    const size = slot.heldBytes === null ? '' : ` and keeps ${slot.heldBytes} bytes of its log`;
    if (slot.lost && holder !== undefined) {
      const message = `the slot ${slot.name} of ${at(node)} has lost the log that ${holder.name} still needs`;
      const remedy = `${holder.name} must be copied anew: rampart reprotect.`;
      return [{ ...base, code: 'slotLost', message, remedy }];
    }
    if (slot.active || slot.lost) return [];
    // A node that is away will need its slot; the primary, and one that follows another server, will not.
    const follower = holder !== undefined && follows(view, holder) && holder.seen?.upstream?.node !== node.name;
    const elsewhere = holder?.state === 'writable' || follower;
    if (holder !== undefined && !elsewhere) return [];
    // On a replica a synchronised copy of a logical slot is never in use.
    if (slot.logical && node.state !== 'writable') return [];
    const message = `nobody uses the slot ${slot.name} of ${at(node)}${size}`;
    const remedy = `If nobody will: SELECT pg_drop_replication_slot('${slot.name}') on ${node.name}.`;
    return [{ ...base, code: 'orphanSlot', message, remedy, ...(slot.logical ? { holdMs: LOGICAL_HOLD_MS } : {}) }];
  });
}
