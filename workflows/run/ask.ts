/** Opens a gate, shows living facts, waits for people, and measures again before their word counts. */
import { CancellationScope, condition, isCancellation, patched, workflowInfo } from '@temporalio/workflow';
import type { LossStatement } from '../../drivers/ports.ts';
import { materialOf } from '../../plan/material.ts';
import type { Facts, Gate, Observations, Stage } from '../../plan/model.ts';
import { countGate } from './counted.ts';
import { causeOf, GateClosed, type Interrupt, Interrupted } from './errors.ts';
import { acceptedLoss, exceeds, isUnknown, type OpenGate } from './gate.ts';
import { couldLetGo, heldRegions, holdsLivingSource } from './held.ts';
import { waitWhilePaused } from './hold.ts';
import { approvalStands, storesOf } from './look-again.ts';
import { lookFurther, needsMore } from './look-further.ts';
import { lossNow } from './loss-now.ts';
import { leftBehindText, lossText } from './loss-text.ts';
import { compileBase } from './measure.ts';
import { measureAgain, watcher, withDirection } from './prepare.ts';
import { showProgress } from './progress.ts';
import { freshenProofs, unfenceInFlight, weakness, weakProof } from './proof.ts';
import { identityOf, type Run } from './state.ts';

/** One watch of the facts at a gate, in milliseconds; then it is scheduled anew. */
const WATCH_MS = 300_000;
/**
 * News is shown after 5 s, 10 s, 20 s, then every half minute for ten minutes, then ever more rarely: a gate may be open
 * for days, each look adds tens of kilobytes to the history, and an approval is measured again anyway.
 */
const QUIET_MS = [5_000, 10_000, 20_000];
const BUSY_QUIET_MS = 30_000;
const BUSY_LOOKS = 22;
const LONGEST_QUIET_MS = 600_000;
/** The server ends a workflow whose history passes 50 MiB; a gate that nobody answers for weeks must not come near. */
const MOST_HISTORY_BYTES = 12 * 1024 * 1024;

function quietMs(news: number): number {
  if (news < BUSY_LOOKS) return QUIET_MS[news] ?? BUSY_QUIET_MS;
  return Math.min(BUSY_QUIET_MS * 1.5 ** (news - BUSY_LOOKS), LONGEST_QUIET_MS);
}

/**
 * Passes a stage's gate.
 * @param observations what the facts shown first were read from
 * @throws {GateClosed} rejected or expired; {Interrupted} by abort, escalate, withdraw or the freeze's end
 */
export async function passGate(run: Run, stage: Stage, observations: Observations): Promise<void> {
  const gate = stage.gate!;
  if (gate.kind === 'always') return askAlways(run, gate, observations);
  let began: number | null = null;
  for (;;) {
    // Of a store that its provider switches no step states the loss before: it is measured, right before it counts.
    if (stage.name === 'promote-atomic') {
      const now = await run.interruptible(() => measureAgain(run.resolved!, run.plan!, identityOf(run)));
      run.saw(now.facts);
    }
    await run.interruptible(() => Promise.all(stage.steps.map((step) => freshenProofs(run, step))));
    if (run.interrupt !== null) throw new Interrupted(run.takeInterrupt()!);
    // Proven since then: that it was accepted unproven counts no more.
    for (const store of storesOf(stage)) if (weakness(run, store) === null) run.weakFenceAccepted.delete(store);
    const why = reasonsToAsk(run, stage);
    if (why.length === 0) {
      if (await approvalStands(run, stage)) return;
      continue;
    }
    const open = openGate(
      run,
      gate,
      why.map((w) => w.text).join('; '),
      run.facts!,
      lossNow(run),
      why.map((w) => w.override),
    );
    await decide(run, open, observations, { watched: false, began });
    began ??= open.openedAt;
    rememberPromotion(run, open, stage);
    // What people accepted in writing no longer asks; what became worse while they decided does.
  }
}

async function askAlways(run: Run, gate: Gate, first: Observations): Promise<void> {
  let facts = run.facts!;
  let observations = first;
  const flying = unfenceInFlight(run);
  let began: number | null = null;
  let reason = [gate.name === 'rebuild' ? leftBehindText(run) : '', flying ?? ''].filter(Boolean).join('; ');
  for (;;) {
    const blockers = facts.blockers.filter((b) => b.override === undefined || !run.overrides.has(b.override));
    const needs = needsOf(run, facts);
    const nobody =
      (gate.policy.required === 0 || (run.covered !== null && gate.name === 'cutover')) &&
      run.plan!.request.proposed !== true &&
      flying === null &&
      blockers.length === 0 &&
      (facts.asks ?? []).length === 0 &&
      lossAccepted(run, facts.loss);
    if (nobody) {
      const why = run.covered ?? 'nobody is needed by policy';
      run.note(`gate ${gate.name}: ${why}, and nothing in the facts asks for a person`);
      run.maxLoss ??= { seconds: 0, bytes: 0 };
      return;
    }
    const open = openGate(run, gate, reason, facts, facts.loss, needs);
    await decide(run, open, observations, { watched: true, began });
    began ??= open.openedAt;
    remember(run, open);
    // Whoever paused while it was asked is not passed over by the answer, and what is measured is of the time after.
    await waitWhilePaused(run, run.stage!);
    const again = await run.interruptible(() => measureAgain(run.resolved!, run.plan!, identityOf(run)));
    run.saw(again.facts);
    const changed = worse(run, open, again.facts);
    if (changed === null) return;
    ({ facts, observations } = again);
    reason = [`asked again: ${changed}`, flying ?? ''].filter(Boolean).join('; ');
  }
}

/** What makes an approval given for `open` not count for the facts measured now; `null` when it counts. */
function worse(run: Run, open: OpenGate, now: Facts): string | null {
  // A rebuild is asked about data that is kept anyway; only what could lose writes depends on the state it was shown in.
  if (open.gate.name !== 'rebuild' && now.classified.state !== open.facts.classified.state)
    return `when approved it was "${open.facts.classified.text}", now it is "${now.classified.text}"`;
  const blockers = now.blockers.filter((b) => b.override === undefined || !run.overrides.has(b.override));
  if (blockers.length > 0) return blockers.map((b) => b.message).join('; ');
  if (run.plan!.mode === 'unplanned' && !lossAccepted(run, now.loss))
    return `the loss is now ${lossText(now.loss)}, more than was approved`;
  return null;
}

/** The conditional gate before the promotion: weak or stale proof, or more loss than people have accepted. */
function reasonsToAsk(run: Run, stage: Stage): Array<{ text: string; override: string }> {
  const out: Array<{ text: string; override: string }> = [];
  for (const store of storesOf(stage)) {
    const weak = run.overrides.has('weakFence') ? null : weakProof(run, store);
    if (weak === null) continue;
    const writes = run.sourceWrites.has(store)
      ? `; ${store} in ${run.plan!.from} answers again and accepts writes: it is not fenced${run.pastPointOfNoReturn ? ' (escalate, and the new plan fences it first)' : ''}`
      : '';
    out.push({ text: `${weak}${writes}`, override: 'weakFence' });
  }
  const loss = lossNow(run);
  run.loss = loss;
  if (!lossAccepted(run, loss))
    out.push({ text: `the loss is ${lossText(loss)}, more than was approved`, override: 'lossAccepted' });
  return out;
}

/**
 * An open or unknown window always asks, until people have approved one in this plan; even then what is known of its
 * length so far must be within what they accepted.
 */
function lossAccepted(run: Run, loss: LossStatement): boolean {
  if (isUnknown(loss) && run.unknownLossAccepted) {
    const most = run.maxLoss?.seconds ?? null;
    // A length nobody knows is more than any that was accepted.
    return most === null || (loss.seconds !== null && loss.seconds <= most);
  }
  return !exceeds(loss, run.maxLoss ?? { seconds: 0, bytes: null });
}

function openGate(run: Run, gate: Gate, reason: string, facts: Facts, loss: LossStatement, needs: string[]): OpenGate {
  const id = run.nextGateId(gate.name);
  const open: OpenGate = {
    id,
    gate,
    asking: Number(id.split('.').at(-1)),
    openedAt: Date.now(),
    expiresAt: Date.now() + gate.policy.timeoutMs,
    reason,
    facts,
    loss,
    needsOverride: [...new Set(needs)],
    mode: run.plan!.mode,
    rpoMs: run.plan!.policy.rpoMs,
    requester: run.plan!.request.by ?? null,
    approvals: [],
    state: 'open',
    text: '',
  };
  run.gate = open;
  run.note(`gate ${id} opened${reason ? `: ${reason}` : ''}`);
  run.tell('approval-required', asking(open), urgency(open));
  showProgress(run);
  return open;
}

function asking({ id, gate, reason, facts, loss }: OpenGate): string {
  return `gate ${id}, ${gate.title}${reason ? ` (${reason})` : ''}: ${facts.classified.text}; loss ${lossText(loss)}`;
}

/** In an unplanned run people are already without the service: somebody must be woken. */
const urgency = ({ mode }: OpenGate) => (mode === 'unplanned' ? 'error' : 'warning');

/** Several people approved: what each of them took counts. */
function least(values: Array<number | null>): number | null {
  const known = values.filter((v): v is number => v !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** At this gate people accept a weak fence of these stores and this loss, for this plan; nothing more. */
function rememberPromotion(run: Run, open: OpenGate, stage: Stage): void {
  const codes = new Set(open.approvals.flatMap((d) => d.override));
  if (codes.has('weakFence'))
    for (const store of storesOf(stage))
      if (weakProof(run, store) !== null) {
        run.weakFenceAccepted.add(store);
        run.fencedAgain.delete(store);
      }
  if (!codes.has('lossAccepted')) return;
  if (isUnknown(open.loss)) run.unknownLossAccepted = true;
  const more = (a: number | null | undefined, b: number | null) => (a == null ? b : Math.max(a, b ?? a));
  // Of a switch by the provider the window stays open until it is made: it has grown already when the answer is here.
  const growing = open.loss.toTime === null && stage.name === 'promote-atomic';
  const seconds = growing ? least(open.approvals.map((d) => d.maxLoss.seconds)) : open.loss.seconds;
  run.maxLoss = {
    seconds: seconds === null ? null : more(run.maxLoss?.seconds, seconds),
    bytes: run.maxLoss?.bytes == null ? null : more(run.maxLoss.bytes, open.loss.atMostBytes ?? open.loss.atLeastBytes),
  };
}

function remember(run: Run, open: OpenGate): void {
  for (const d of open.approvals) for (const code of d.override) run.overrides.add(code);
  if (open.approvals.length > 0 && isUnknown(open.loss)) run.unknownLossAccepted = true;
  const accepted = open.approvals.map((d) => d.maxLoss);
  run.maxLoss =
    accepted.length === 0
      ? acceptedLoss(open, undefined)
      : { seconds: least(accepted.map((a) => a.seconds)), bytes: least(accepted.map((a) => a.bytes)) };
}

/**
 * Waits for the decision while one observer keeps the facts shown alive.
 * @param began when it was asked first, if it is asked again: a source that is held is held through every asking
 */
async function decide(
  run: Run,
  open: OpenGate,
  observations: Observations,
  { watched, began }: { watched: boolean; began: number | null },
): Promise<void> {
  const since = Date.now();
  const watch = new CancellationScope();
  const watching = watched ? watch.run(() => keepFactsAlive(run, open, observations)).catch(ignoreCancellation) : null;
  const held = open.mode === 'unplanned' && holdsLivingSource(run);
  const heldSince = held && began !== null && patched('held-through-askings') ? began : since;
  let lookAt = held ? heldSince + run.plan!.policy.freezeBudgetMs : Number.POSITIVE_INFINITY;
  let looks = 0;
  run.news?.remind(open);
  try {
    for (;;) {
      const answered = () => open.state !== 'open' || run.interrupt !== null;
      const until = Math.min(open.expiresAt, lookAt);
      const decided = await condition(answered, Math.max(until - Date.now(), 1), { summary: `gate ${open.id}` });
      const interrupt = run.interrupt === null ? null : run.takeInterrupt();
      if (interrupt !== null) throw new Interrupted(interrupt);
      if (open.state === 'rejected') throw new GateClosed(open.id, 'rejected', open.text);
      if (open.state === 'approved') return;
      if (decided) continue;
      if (Date.now() >= lookAt) {
        if ((await couldLetGo(run)) && !answered()) throw new Interrupted(unanswered(run, open, began !== null));
        lookAt = Date.now() + quietMs(looks);
        looks += 1;
      } else if (await expired(run, open)) return;
    }
  } finally {
    run.waited('gate', open.id, since);
    countGate(run, open, since);
    run.gate = null;
    watch.cancel();
    await watching;
  }
}

function unanswered(run: Run, { id }: OpenGate, again: boolean): Interrupt {
  const within = `within the freeze budget of ${run.plan!.policy.freezeBudgetMs / 1000} s`;
  const waited = `gate ${id} was not ${again ? 'settled' : 'answered'} ${within}`;
  const held = heldRegions(run).join(', ');
  return { kind: 'freezeExpired', by: 'rampart', reason: `${waited}, and ${held} could write if it were not fenced` };
}

/** @returns true when the policy lets the run go on without a person */
async function expired(run: Run, open: OpenGate): Promise<boolean> {
  const policy = open.gate.policy;
  const unasked = run.plan!.request.proposed !== true && open.needsOverride.length === 0;
  const say = (then: string): void => {
    const text = `gate ${open.id}: nobody decided in time; the policy says ${then}`;
    run.note(text);
    run.tell('approval-expired', text);
  };
  if (policy.onTimeout === 'proceed' && unasked) {
    open.state = 'approved';
    say('proceed');
    return true;
  }
  if (policy.onTimeout === 'hold') {
    open.expiresAt = Date.now() + policy.timeoutMs;
    say('hold, so it keeps waiting');
    return false;
  }
  open.state = 'expired';
  const text = `gate ${open.id}: nobody decided within ${policy.timeoutMs / 1000} s`;
  run.tell('approval-expired', text);
  throw new GateClosed(open.id, 'expired', text);
}

async function keepFactsAlive(run: Run, open: OpenGate, observations: Observations): Promise<void> {
  // The samples are read where they are kept; carried along they would fill the history.
  let first = { ...observations, samples: {} };
  let probes = 0;
  for (let news = 0; ; ) {
    if (workflowInfo().historySize > MOST_HISTORY_BYTES) {
      run.note(`gate ${open.id}: the shown facts stay as they are from now on; an approval is measured again anyway`);
      return;
    }
    try {
      const stuck = needsMore(first);
      const watchMs = stuck ? quietMs(probes) : WATCH_MS;
      const facts = await watcher.watchFacts({
        compile: compileBase(withDirection(run.resolved!, run.plan!)),
        run: identityOf(run),
        shown: materialOf(open.facts),
        observations: first,
        quietMs: quietMs(news),
        forMs: Math.max(watchMs, quietMs(news)),
      });
      if (stuck) {
        first = await lookFurther(run, first);
        probes += 1;
      }
      if (facts === null) continue;
      news += 1;
      showFacts(run, open, facts);
    } catch (error) {
      if (isCancellation(error)) throw error;
      run.note(`gate ${open.id}: facts could not be refreshed: ${causeOf(error).message}`);
      // Without a reading there is nothing to show that is newer; the next watch tries again.
      await condition(() => open.state !== 'open', 30_000);
    }
  }
}

/** Newer facts replace the shown ones. If a decision would be about something else now, it is a new asking (I10). */
function showFacts(run: Run, open: OpenGate, facts: Facts): void {
  const before = materialOf(open.facts);
  const now = materialOf(facts);
  const worse =
    before.state !== now.state ||
    now.blockers.some((b) => !before.blockers.includes(b)) ||
    (!isUnknown(open.loss) && exceeds(facts.loss, acceptedLoss(open, undefined)));
  open.facts = facts;
  open.loss = facts.loss;
  run.saw(facts);
  if (worse && open.state === 'open') {
    const was = open.id;
    open.id = run.nextGateId(open.gate.name);
    open.asking = Number(open.id.split('.').at(-1));
    open.approvals = [];
    open.needsOverride = needsOf(run, facts);
    open.expiresAt = Date.now() + open.gate.policy.timeoutMs;
    open.reason = `asked again: ${facts.classified.text}; loss ${lossText(facts.loss)}`;
    run.note(`gate ${was} is asked again as ${open.id}: the facts changed: ${facts.classified.text}`);
    run.tell('approval-required', asking(open), urgency(open));
  } else dropOverrides(run, open);
  showProgress(run);
}

/** What a gate asked people to accept by name, and its facts no longer show, it asks no more: the asking stays. */
function dropOverrides(run: Run, open: OpenGate): void {
  const needs = needsOf(run, open.facts);
  const gone = open.needsOverride.filter((code) => !needs.includes(code));
  if (gone.length === 0 || !patched('overrides-of-shown-facts')) return;
  open.needsOverride = open.needsOverride.filter((code) => needs.includes(code));
  run.note(`gate ${open.id} needs the override ${gone.map((code) => `"${code}"`).join(', ')} no more`);
}

/** Override codes that an approval of these facts must carry. */
function needsOf(run: Run, facts: Facts): string[] {
  const codes = facts.blockers.flatMap((b) =>
    b.override === undefined || run.overrides.has(b.override) ? [] : [b.override],
  );
  return [...new Set(codes)];
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}
