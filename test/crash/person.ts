/**
 * The engineer on call, as a script: answers gates and holds the way docs/operations.md and the run's own texts say,
 * with a look at the systems before every word that takes a risk. Says no word twice for the same asking, and keeps
 * what was said.
 */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { GateView, RunStatus } from '../../workflows/contract.ts';
import { PERSON } from '../integration/world.ts';
import { breathe, type Hands } from './hands.ts';
import type { Ref } from './watch.ts';

/** A run in which nothing has moved for this long gets a look, in milliseconds. */
const LOOK_AFTER_MS = 3_000;
/** Between two looks at a run, in milliseconds: each costs the worker and the server as much as a step does. */
const EVERY_MS = 150;
/** A query that is not answered by then is asked again, in milliseconds: its worker or the server may be away. */
const ASK_MS = 2_000;
/** Words at holds before the engineer stops trying the same thing. */
const RETRIES = 4;

export interface Watched {
  /** Every word said, in order, with why. */
  said: string[];
  /** Losses shown at gates before their approval. */
  shown: GateView['loss'][];
  /** The last status that was read. */
  last: RunStatus | null;
}

export interface Care {
  /** Held back at the first gate until this settles: the cell's fault falls while the gate is open. */
  beforeApproval?: (gate: GateView) => Promise<void>;
  /** Another orchestrator is at the same service: while this is true, a run that was refused by it is left alone. */
  beside?: () => boolean;
  /** Sees every status. */
  onStatus?: (status: RunStatus) => void;
  deadlineMs: number;
}

/**
 * Cares for a run until it has ended.
 * @throws Error that says where it hangs, after the deadline
 */
export async function careFor(hands: Hands, client: Client, ref: Ref, care: Care): Promise<Watched> {
  const handle = client.workflow.getHandle(ref.workflowId, ref.runId);
  const watched: Watched = { said: [], shown: [], last: null };
  const deadline = Date.now() + care.deadlineMs;
  const askings = new Map<string, number>();
  let progress = '';
  let movedAt = Date.now();
  let retries = 0;
  for (;;) {
    if (Date.now() > deadline) throw new Error(`the run hangs: ${whereItIs(watched)}`);
    const status = await client
      .withDeadline(Date.now() + ASK_MS, () => handle.query<RunStatus>('status'))
      .catch(() => null);
    if (status === null) {
      if (await hasClosed(client, ref)) return watched;
      await breathe(EVERY_MS);
      continue;
    }
    watched.last = status;
    care.onStatus?.(status);
    if (status.outcome !== null) return watched;
    const now = `${status.phase} ${status.gate?.id} ${status.steps.map((s) => `${s.id}${s.state}`).join()}`;
    if (now !== progress) {
      progress = now;
      movedAt = Date.now();
    }
    const say = async (verb: string, input: object, why: string): Promise<boolean> => {
      const text = `${verb} ${JSON.stringify(input)}: ${why}`;
      try {
        const answer = await client.withDeadline(Date.now() + 5_000, () =>
          handle.executeUpdate<{ applied: boolean; text: string }, [object]>(verb, {
            args: [{ by: PERSON, ...input }],
          }),
        );
        watched.said.push(answer.applied ? text : `${text} (not applied: ${answer.text})`);
        return answer.applied;
      } catch (error) {
        watched.said.push(
          `${text} (refused: ${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message})`,
        );
        return false;
      }
    };
    if (status.gate !== null && status.gate.approvedBy.length === 0) {
      const { gate } = status;
      const asked = askings.get(gate.id) ?? 0;
      askings.set(gate.id, asked + 1);
      if (asked === 0) await care.beforeApproval?.(gate);
      // The facts are renewed every few seconds: a word that was refused is thought over again then, not at once.
      if (asked % 5 === 0) await answerGate(hands, status, gate, watched, say);
    } else if (status.holding !== null) {
      // A run that another one has overtaken can do nothing: what is right is known when that one has ended.
      if (care.beside?.()) {
        await breathe(EVERY_MS);
        continue;
      }
      retries += 1;
      await answerHold(hands, status, retries, say);
    } else if (status.phase !== 'planning' && Date.now() - movedAt > LOOK_AFTER_MS) {
      movedAt = Date.now();
      await helpOn(hands, status, say);
    }
    await breathe(EVERY_MS);
  }
}

type Say = (verb: string, input: object, why: string) => Promise<boolean>;

async function answerGate(hands: Hands, status: RunStatus, gate: GateView, watched: Watched, say: Say): Promise<void> {
  const roles = await hands.roles();
  const source = status.from === null ? null : roles[status.from];
  const down = source === 'stopped' || source === 'frozen' || source === 'silent';
  const word = { gate: gate.id, decision: 'approve' };
  if (gate.name === 'rebuild') return void (await say('decide', word, 'the old data is kept aside'));
  if (status.mode === 'planned') {
    const past = status.pointOfNoReturn.crossedAt !== null && status.pointOfNoReturn.revokedAt === null;
    if (gate.name === 'cutover' && gate.needsOverride.length === 0 && gate.facts.blockers.length === 0)
      return void (await say('decide', word, 'nothing speaks against it'));
    // What the run itself has fenced is not dead: going back starts it again, and nothing is lost.
    if (down && !past && !isFenced(status) && hasSource(status))
      return void (await say('escalate', { reason: `the database of ${status.from} is ${source}` }, gate.reason));
    // The target or a worker may be on its way back: what is missing is brought back, and the facts are looked at again.
    await hands.mend();
    await startTarget(hands, status);
    if (gate.name === 'promote') await say('decide', { ...word, decision: 'reject' }, `planned, and ${gate.reason}`);
    return;
  }
  // Unplanned: the loss has been stated; whoever takes a weak fence on goes and sees that the old primary is down.
  watched.shown.push(gate.loss);
  if (gate.needsOverride.includes('weakFence') && source !== 'stopped') {
    if (source === 'primary')
      return void (await say('decide', { ...word, decision: 'reject' }, 'the old primary is up'));
    if (status.from !== null) await hands.killDatabase(status.from);
  }
  await startTarget(hands, status);
  await say(
    'decide',
    { ...word, override: gate.needsOverride },
    `loss ${gate.loss.kind}, the old primary is ${source}`,
  );
}

export async function answerHold(hands: Hands, status: RunStatus, retries: number, say: Say): Promise<void> {
  const { reason } = status.holding!;
  const past = status.pointOfNoReturn.crossedAt !== null && status.pointOfNoReturn.revokedAt === null;
  const source = status.from === null ? null : (await hands.roles())[status.from];
  await hands.mend();
  await startTarget(hands, status);
  if (status.mode === 'planned' && !past && hasSource(status) && source !== 'primary' && source !== 'replica')
    return void (await say('escalate', { reason: `the database of ${status.from} is ${source}` }, reason));
  if (retries <= RETRIES) return void (await say('retry', {}, reason));
  if (!past) return void (await say('abort', { reason: 'it does not get on' }, reason));
  if (retries === RETRIES + 1) await say('escalate', { reason: 'it does not get on' }, reason);
}

/** What a reprotect brings back is down until it is rebuilt: nobody takes that for the loss of the source. */
const hasSource = ({ action }: RunStatus): boolean => action !== 'reprotect';

const isFenced = ({ steps }: RunStatus): boolean => steps.some((s) => s.id.startsWith('fence:') && s.state === 'done');

/** Nothing moves: what is down is brought back, and a planned run whose source is gone is escalated. */
export async function helpOn(hands: Hands, status: RunStatus, say: Say): Promise<void> {
  const past = status.pointOfNoReturn.crossedAt !== null && status.pointOfNoReturn.revokedAt === null;
  const source = status.from === null ? null : (await hands.roles())[status.from];
  await startTarget(hands, status);
  // A planned stop of the source looks the same from outside; the run's own words tell them apart.
  const fenced = isFenced(status);
  if (
    status.mode === 'planned' &&
    !past &&
    !fenced &&
    hasSource(status) &&
    (source === 'frozen' || source === 'stopped')
  )
    await say(
      'escalate',
      { reason: `the database of ${status.from} is ${source}` },
      `nothing has moved in ${status.phase}`,
    );
}

/** A dead database of the side that is to be promoted, or was, is started again; never the one that is given up. */
async function startTarget(hands: Hands, status: RunStatus): Promise<void> {
  if (status.to === null) return;
  const role = (await hands.roles())[status.to];
  if (role === 'stopped' || role === 'frozen') await hands.startDatabase(status.to);
}

/** A run that the server does not know any more has ended as well: with its server's data. */
async function hasClosed(client: Client, { workflowId, runId }: Ref): Promise<boolean> {
  try {
    const { status } = await client.withDeadline(Date.now() + ASK_MS, () =>
      client.workflow.getHandle(workflowId, runId).describe(),
    );
    return status.name !== 'RUNNING';
  } catch (error) {
    return error instanceof WorkflowNotFoundError;
  }
}

function whereItIs({ last, said }: Watched): string {
  if (last === null) return 'no status could be read';
  const open = last.steps.filter((s) => s.state !== 'done').map((s) => `${s.id} ${s.state} ${s.error?.message ?? ''}`);
  return JSON.stringify({
    phase: last.phase,
    gate: last.gate?.id,
    blockers: last.gate?.facts.blockers.map((b) => b.message),
    needsOverride: last.gate?.needsOverride,
    shownAt: new Date(last.now).toISOString(),
    holding: last.holding?.reason,
    open,
    debt: last.debt.map((d) => d.message),
    log: last.log.slice(-8).map((l) => l.text),
    said,
  });
}
