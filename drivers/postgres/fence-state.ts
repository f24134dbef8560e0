/** Whether a node is fenced, judged from one reading. Pure but for what it is given. */
import type { FenceStrength, Position } from '../ports.ts';
import type { NodeFiles, NodeReading } from './reading.ts';
import { known } from './reading.ts';
import type { FenceRecord } from './record.ts';

export interface FenceState {
  strength: FenceStrength;
  /** Last position it can ever have acknowledged; `null` = unknown. */
  final: Position | null;
  durable: boolean;
  /** It was a primary before, or a fence is on record: it is the fenced side, not a replica of somebody. */
  formerPrimary: boolean;
  needsRewind: boolean;
  detail: string;
}

/** Facts about a fence by SQL, read from the server. */
export interface ClosedDatabases {
  /** Databases of the fence that accept connections again. */
  open: string[];
  /** Sessions that could write, by database. */
  sessions: number;
}

const NONE: FenceState = {
  strength: 'none',
  final: null,
  durable: false,
  formerPrimary: false,
  needsRewind: false,
  detail: '',
};

/**
 * Judges a reading.
 * @param closed only for a running server with a fence by SQL on record
 */
export function fenceState(reading: NodeReading, closed: ClosedDatabases | null): FenceState {
  const files = known(reading.files);
  const server = known(reading.server);
  const fence = currentFence(reading, files);
  if (server !== null && !server.inRecovery) return bySessions(fence, closed);
  if (files === null) return server === null ? silent(reading, fence) : inRecovery();
  if (files.postmaster === null) {
    if (server !== null) {
      return none(
        `no server runs in its dataDir, yet ${reading.node.host}:${reading.node.port} answers: they are not the same server`,
      );
    }
    return stopped(files, fence);
  }
  // In recovery by its own control file and kept there by the signal: no answer is needed to know that.
  if (server === null && files.signal && files.control.state === 'in archive recovery')
    return restartedReadOnly(files, fence);
  if (server === null)
    return none(`process ${files.postmaster.pid} runs (${files.postmaster.status}) and its state is not known`);
  return files.signal
    ? restartedReadOnly(files, fence)
    : none('in recovery without standby.signal: it will end recovery by itself');
}

/** The fence on record, unless the node has lived on since: then it is a replica that somebody brought back by hand. */
function currentFence(reading: NodeReading, files: NodeFiles | null): FenceRecord | null {
  const fence = known(reading.record)?.fence ?? null;
  if (fence === null || fence.how === 'sql' || files === null) return fence;
  const { control } = files;
  const server = known(reading.server);
  const timeline = Math.max(control.timeline, control.minRecovery?.timeline ?? 0, server?.timeline ?? 0);
  const movedOn = fence.final !== null && BigInt(control.checkpoint.order) > BigInt(fence.final.order);
  return control.systemId !== fence.systemId || timeline > fence.timeline || movedOn ? null : fence;
}

function none(detail: string): FenceState {
  return { ...NONE, detail };
}

/** Nobody answers and no files tell: only the node's own fence command can have seen to it. */
function silent({ command }: NodeReading, fence: FenceRecord | null): FenceState {
  if (fence?.how !== 'command') return none('nobody answers and its files are not beside this worker');
  if (command !== null && command !== 'stopped')
    return none(`its fence command ran, and its status command says ${command}`);
  return {
    strength: 'stopped',
    final: null,
    durable: true,
    formerPrimary: true,
    needsRewind: true,
    detail: `fenced by its own command${command === null ? '' : ', its status command says stopped'}; its last position is not known`,
  };
}

/** A server reached by SQL only that is in recovery: no session can write, which somebody may end by promoting it. */
function inRecovery(): FenceState {
  return { ...NONE, strength: 'sessions', detail: 'in recovery, as its own server says' };
}

function stopped(files: NodeFiles, fence: FenceRecord | null): FenceState {
  const { control, signal, orphans } = files;
  if (orphans > 0) return none(`${orphans} processes outlived their postmaster and may still commit`);
  if (!signal) return none(`stopped (${control.state}) without standby.signal: it would start writable`);
  const base = { strength: 'stopped' as const, durable: true };
  if (control.state === 'shut down') {
    const detail = `fenced: stopped cleanly at checkpoint ${control.checkpoint.text}, starts read-only`;
    return { ...base, final: control.checkpoint, formerPrimary: true, needsRewind: false, detail };
  }
  const final = sameCheckpoint(files, fence);
  const what = `stopped (${control.state}) and starts read-only`;
  if (final !== null) {
    const detail = `fenced: ${what}, still at checkpoint ${final.text}`;
    return { ...base, final, formerPrimary: true, needsRewind: false, detail };
  }
  const formerPrimary = fence !== null || control.state !== 'shut down in recovery';
  const detail = formerPrimary ? `fenced: ${what}; its last position is not known` : `a replica, ${what}`;
  return { ...base, final: null, formerPrimary, needsRewind: formerPrimary, detail };
}

/** An init system or a person started it after the fence: it came up in recovery, as the signal file makes it. */
function restartedReadOnly(files: NodeFiles, fence: FenceRecord | null): FenceState {
  if (fence === null) return inRecovery();
  const final = sameCheckpoint(files, fence);
  return {
    strength: 'stopped',
    final,
    durable: true,
    formerPrimary: true,
    needsRewind: final === null,
    detail: `fenced and started again since: read-only${final === null ? '' : `, still at checkpoint ${final.text}`}`,
  };
}

/** The recorded final position, if the data directory is still at exactly that checkpoint. */
function sameCheckpoint(files: NodeFiles, fence: FenceRecord | null): Position | null {
  const { checkpoint } = files.control;
  const same = fence?.final?.order === checkpoint.order && fence.final.timeline === checkpoint.timeline;
  return same ? fence.final : null;
}

function bySessions(fence: FenceRecord | null, closed: ClosedDatabases | null): FenceState {
  if (fence?.how !== 'sql' || closed === null) return none('writable');
  if (closed.open.length > 0) return none(`writable: ${closed.open.join(', ')} accept connections again`);
  if (closed.sessions > 0) return none(`writable: ${closed.sessions} sessions are still open`);
  return {
    strength: 'sessions',
    final: fence.final,
    durable: true,
    formerPrimary: true,
    needsRewind: true,
    detail: `fenced: ${fence.databases.join(', ')} refuse connections and no session is left; last position ${fence.final?.text ?? 'unknown'}`,
  };
}
