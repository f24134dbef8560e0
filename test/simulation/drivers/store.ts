/**
 * The model store behind the Store port. It follows the PostgreSQL driver's steps: look, check the token, act, poll,
 * verify. Between any two of them the world goes on, and faults may strike (`op`).
 */
import { clock } from '../../../drivers/clock.ts';
import { RampartError } from '../../../drivers/errors.ts';
import { poll } from '../../../drivers/poll.ts';
import type {
  CatchUpReceipt,
  Claim,
  ClaimReceipt,
  DriverContext,
  FenceReceipt,
  FenceStrength,
  Finding,
  Journal,
  PromoteReceipt,
  Receipt,
  SampleReading,
  Store,
} from '../../../drivers/ports.ts';
import { originals } from '../../../drivers/store-claims.ts';
import { MOVE } from '../../../plan/adopted.ts';
import { lossOf, noLoss } from '../../../plan/loss.ts';
import { position } from '../world/history.ts';
import type { Server } from '../world/server.ts';
import { type SimWorld, SYSTEM_ID } from '../world/world.ts';
import { mutate, tokenOf } from './claims.ts';
import { RULES } from './rules.ts';

const PROOF_MS = 10_000;
const STALL_MS = 5_000;
const STOP_MS = 6_000;
const START_MS = 120_000;
const PROMOTE_MS = 200;
const COPY_MS = 2_000;
const LOOK_MS = 100;

/** One operation of a driver: takes a moment of the world's time, and is where faults strike. */
export type Op = () => Promise<void>;

export function openStore(world: SimWorld, store: string, context: DriverContext, op: Op): Store {
  const serverIn = (region: string): Server => world.server(store, region);
  const now = (): number => context.now();
  const receipt = (summary: string, facts: Receipt['facts'] = {}, already = false): Receipt => ({
    ...{ already, at: now(), summary, facts },
  });
  const until = (deadlineMs: number, done: () => boolean): Promise<true | undefined> =>
    poll({ signal: context.signal, deadlineMs, intervalMs: LOOK_MS, maxIntervalMs: 1_000 }, async () => {
      world.flow(store);
      context.heartbeat({ store });
      return done() || undefined;
    });
  const unavailable = (server: Server): RampartError =>
    new RampartError('ProviderUnavailable', `${server.name} does not answer`);
  const answering = (region: string): Server => {
    const server = serverIn(region);
    world.flow(store);
    if (!world.reaches(context.place.region, region) || server.process !== 'up' || server.stopping)
      throw unavailable(server);
    return server;
  };

  function strengthOf(server: Server): { strength: FenceStrength; former: boolean; detail: string } {
    const none = (detail: string) => ({ strength: 'none' as const, former: false, detail });
    const current = server.record.fence?.branch === server.branch;
    if (server.process === 'down') {
      if (!server.signal && RULES.writeSignal) return none('stopped and would start writable');
      return { strength: 'stopped', former: current || !server.recovering, detail: 'stopped, starts read-only' };
    }
    if (server.process !== 'up' || server.stopping) return none('a process runs and its state is not known');
    if (!server.recovering) return none('writable');
    if (!server.signal) return none('in recovery without the signal');
    return current
      ? { strength: 'stopped', former: true, detail: 'fenced and started again read-only' }
      : { strength: 'sessions', former: false, detail: 'in recovery' };
  }

  function proofOf(region: string, already: boolean): FenceReceipt {
    const server = serverIn(region);
    world.flow(store);
    const { strength, former, detail } = strengthOf(server);
    const final = strength === 'none' || !former ? null : world.finalOf(server);
    const provenAt = now();
    const proof = { region, cannotWrite: strength, final: final !== null, provenAt: world.now };
    world.proofs.push({ store, claimed: provenAt, proof });
    const durable = strength === 'stopped';
    world.say({ kind: 'proof', store, run: context.run.runId, proof, durable });
    return {
      ...receipt(`${server.name}: ${detail}`, { asked: true }, already),
      fence: {
        region,
        cannotWrite: strength,
        finalPosition: final,
        durable,
        systemId: SYSTEM_ID,
        timeline: server.branch.timeline,
        epoch: server.record.claim?.epoch ?? 0,
        needsRewind: former && final === null,
        provenAt,
      },
    };
  }

  function assertProof(proof: FenceReceipt | null, from: string): void {
    if (proof === null || !RULES.askProof) return;
    const { fence } = proof;
    const refuse = (why: string): never => {
      throw new RampartError('NotFenced', `${store} is not promoted: ${why}`);
    };
    if (fence.region !== from) refuse(`the proof is about ${fence.region}`);
    if (fence.cannotWrite === 'none') refuse(`nothing proves that ${from} cannot write`);
    if (now() - fence.provenAt > PROOF_MS) refuse(`the fence proof of ${from} is too old`);
    if (fence.epoch !== tokenOf(context).epoch) refuse('the proof was read under another claim');
  }

  async function awaitWritable(server: Server, deadlineMs: number): Promise<void> {
    const done = await until(deadlineMs, () => {
      if (server.process === 'down' && !server.signal) world.start(server, 'rampart');
      if (server.process === 'up' && server.recovering && !server.stopping)
        throw new RampartError('NotApplied', `${server.name} was started before its fence was taken back`);
      return server.writable;
    });
    if (!done) throw new RampartError('NotApplied', `${server.name} is not writable after ${deadlineMs} ms`);
  }

  /** Everybody else, as far as they answer: a second history must not begin here. */
  function othersGoOn(server: Server): string | null {
    for (const other of world.servers(store)) {
      if (other === server || !world.reaches(server.region, other.region) || other.process !== 'up') continue;
      if (other.writable) return `${other.name} is writable`;
      if (other.branch.timeline > server.branch.timeline) return `${other.name} is on a higher timeline`;
    }
    return null;
  }

  const seen = async (region: string) => {
    await op();
    return [world.observe(serverIn(region), context.place.region, now())];
  };

  return {
    observe: (at) => seen(at.region),
    sample: (at) => seen(at.region),

    async preflight(mode, from, to) {
      await op();
      const findings: Finding[] = [];
      const blocker = (code: string, message: string): void => {
        const remedy = 'Mend it and plan again.';
        findings.push({ code, severity: 'blocker', component: store, region: to, message, remedy });
      };
      if (mode !== 'planned') return findings;
      const source = world.observe(serverIn(from), null, now());
      const lag = world.observe(serverIn(to), null, now()).lag;
      if (source.state !== 'writable') blocker('sourceNotWritable', `${source.node} is ${source.state}`);
      if (lag === null || !lag.fresh) blocker('lagUnknown', `the lag of ${store} in ${to} is not known`);
      return findings;
    },

    async readClaim(at): Promise<ClaimReceipt> {
      await op();
      const { record } = serverIn(at.region);
      const journals = record.journal?.open ? [record.journal] : [];
      const facts = { unread: [], journals: JSON.parse(JSON.stringify(journals)) };
      return {
        ...receipt(record.claim === null ? 'no claim' : `epoch ${record.claim.epoch}`, facts, true),
        claim: { region: at.region, previous: null, current: record.claim },
      };
    },

    async claim(at, journal: Journal): Promise<ClaimReceipt> {
      await op();
      const { record, name } = serverIn(at.region);
      const token = tokenOf(context);
      const wanted: Claim = { epoch: token.epoch, runId: token.runId, seq: token.seq, at: now() };
      const previous = record.claim;
      const same = previous?.epoch === wanted.epoch && previous.runId === wanted.runId;
      const told = { kind: 'mutation', place: name, verb: 'claim', token: { ...wanted } } as const;
      if (previous !== null && !same && previous.epoch >= wanted.epoch) {
        world.say({ ...told, accepted: false, changed: false, why: 'claimed by another run' });
        throw new RampartError('Conflict', `${name} is claimed by run ${previous.runId} with epoch ${previous.epoch}`);
      }
      if (same && wanted.seq < previous.seq && record.journal?.runId === journal.runId && !record.journal.open) {
        world.say({ ...told, accepted: false, changed: false, why: 'the run has closed its journal since' });
        throw new RampartError('Conflict', `${name}: a later step (${previous.seq}) of the same run has acted`);
      }
      const adopted = record.journal?.open === true ? record.journal : null;
      if (same && adopted?.runId === journal.runId) {
        record.claim = { ...previous, seq: Math.max(previous.seq, wanted.seq) };
        world.say({ ...told, accepted: true, changed: false });
        const facts = { adopted: [], fencedAt: adopted.fencedAt };
        return { ...receipt('claimed', facts, true), claim: { region: at.region, previous, current: wanted } };
      }
      record.claim = same ? { ...wanted, seq: Math.max(previous.seq, wanted.seq) } : wanted;
      if (!same) record.promote = null;
      record.journal = {
        ...journal,
        saved: savedWith(journal.saved, adopted?.saved),
        fencedAt: adopted?.fencedAt ?? journal.fencedAt,
        lastTouched: now(),
        open: true,
      };
      world.say({ ...told, accepted: true, changed: true });
      const { fencedAt } = record.journal;
      const facts = { adopted: JSON.parse(JSON.stringify(adopted === null ? [] : [adopted])), fencedAt };
      return { ...receipt('claimed', facts), claim: { region: at.region, previous, current: wanted } };
    },

    async journal(at, change) {
      await op();
      const server = serverIn(at.region);
      if (change.open === false && server.record.journal?.runId !== tokenOf(context).runId)
        return receipt('no journal of this run', {}, true);
      const changed = mutate(world, server, context, 'journal', null, () => {
        const present = server.record.journal as Journal;
        server.record.journal = {
          ...present,
          saved: { ...change.saved, ...present.saved },
          fencedAt: change.fencedAt === undefined ? present.fencedAt : change.fencedAt,
          open: change.open ?? present.open,
          lastTouched: now(),
        };
        return present.open && change.open === false;
      });
      return receipt('journal written', {}, !changed);
    },

    async converge(from, to, limit) {
      await op();
      const close = (): boolean => {
        const read = `${context.run.runId} ${store}`;
        world.lagRead.set(read, 'stale');
        answering(from);
        const replica = answering(to);
        world.lagRead.set(read, world.lagIs(replica));
        const lag = world.lagOf(replica, context.place.region, now());
        return lag.fresh && (lag.seconds ?? Number.POSITIVE_INFINITY) * 1000 <= limit.ms;
      };
      if (await until(20_000, close)) return receipt(`${store} in ${to} is close behind`, {}, true);
      throw new RampartError('LagTooHigh', `${store} in ${to} is more than ${limit.ms} ms behind, or nobody knows`);
    },

    async fence(at) {
      tokenOf(context);
      await op();
      const server = serverIn(at.region);
      world.flow(store);
      if (server.process === 'up' && server.recovering && server.signal && !server.stopping) {
        mutate(world, server, context, 'fence', null, () => false);
        return proofOf(at.region, true);
      }
      const timeline = server.branch.timeline;
      const already = server.process === 'down' && server.signal;
      const { runId } = context.run;
      const before = server.record.fence?.stoppedBy ?? null;
      const writes = server.process === 'up' || (server.process !== 'down' && RULES.frozenCanWrite);
      const stoppedBy = writes && !server.recovering ? runId : before;
      mutate(world, server, context, 'fence', already ? null : timeline, () => {
        if (already) return false;
        const changed = !server.signal || server.record.fence === null;
        server.signal = RULES.writeSignal;
        server.record.fence = { final: null, branch: server.branch, stoppedBy };
        const { journal } = server.record;
        if (journal !== null) server.record.journal = { ...journal, fencedAt: journal.fencedAt ?? now() };
        if (server.process === 'up' && !server.stopping) world.stop(server, 'rampart', () => undefined);
        return changed;
      });
      if (!(await until(STOP_MS, () => server.process === 'down' || strengthOf(server).strength !== 'none')))
        world.kill(server, 'rampart');
      await op();
      const clean = server.process === 'down' && server.clean && !server.recovering;
      if (server.record.fence !== null && clean) server.record.fence = { ...server.record.fence, final: server.end };
      const proof = proofOf(at.region, already);
      if (proof.fence.cannotWrite === 'none') throw new RampartError('NotFenced', `${at.region} could still write`);
      if (stoppedBy === runId) proof.facts.stoppedWrites = true;
      return proof;
    },

    async unfence(at, guard) {
      await op();
      const server = serverIn(at.region);
      world.flow(store);
      const { timeline } = server.branch;
      const forget = (): void => {
        const { journal } = server.record;
        server.record.fence = null;
        if (journal !== null) server.record.journal = { ...journal, fencedAt: null };
      };
      const mayAct = (): void => {
        if (guard.deadline !== null && now() > guard.deadline)
          throw new RampartError('Conflict', `the unfence of ${server.name} came too late`);
        const why = othersGoOn(server);
        if (why !== null) throw new RampartError('Conflict', `${server.name} stays fenced: ${why}`);
      };
      await until(STOP_MS, () => !server.stopping);
      const running = server.process !== 'down';
      // Recovery cannot be left without a new timeline: what was started with the signal must go down once more.
      const readOnly = running && (server.signal ? !server.writable : server.process === 'up' && server.recovering);
      if (!server.signal && running && !readOnly) {
        mutate(world, server, context, 'unfence', timeline, () => {
          forget();
          return false;
        });
        if (server.writable) return receipt(`${at.region} was not fenced`, {}, true);
        await awaitWritable(server, START_MS);
        return receipt(`${server.name} is writable again`);
      }
      if (server.record.fence === null && server.signal && server.recovering)
        return receipt(`${at.region} was not fenced`, {}, true);
      await op();
      mayAct();
      await op();
      mutate(world, server, context, 'unfence', timeline, () => {
        const changed = server.signal;
        // Before anything is stopped: an init system may start it again faster than we would.
        server.signal = false;
        if (!readOnly) world.start(server, 'rampart');
        forget();
        return changed;
      });
      if (readOnly) {
        const { life } = server;
        await op();
        if (server.life === life) world.stop(server, 'rampart', () => undefined);
        await until(STOP_MS, () => server.life !== life);
      }
      await awaitWritable(server, START_MS);
      return receipt(`${server.name} is writable again`);
    },

    async prove(at) {
      await op();
      return proofOf(at.region, true);
    },

    async awaitCatchUp(fence, to, samples: SampleReading[]): Promise<CatchUpReceipt> {
      await op();
      const server = serverIn(to.region);
      if (server.process === 'down' && server.signal) {
        mutate(world, server, context, 'awaitCatchUp', null, () => {
          world.start(server, 'rampart');
          return true;
        });
        await until(START_MS, () => server.process === 'up');
      }
      answering(to.region);
      const proof = fence?.fence ?? null;
      const final = proof !== null && proof.cannotWrite !== 'none' ? proof.finalPosition : null;
      let last = -1;
      let movedAt = clock.monotonic();
      const reachedAll = (): boolean => final !== null && server.end >= Number(final.order);
      await until(600_000, () => {
        answering(to.region);
        // As the real ones: who accepts writes already waits for nothing.
        if (!server.recovering) return true;
        if (server.end !== last) movedAt = clock.monotonic();
        last = server.end;
        if (final === null && world.streams(server)) return true;
        return !RULES.catchUpWaits || reachedAll() || clock.monotonic() - movedAt > (final === null ? 250 : STALL_MS);
      });
      const applied = position(server.end, server.branch.timeline);
      const sync = { enabled: false, cancelledWaiters: 'none' as const };
      const closedAt = proof !== null && proof.cannotWrite !== 'none' ? proof.provenAt : null;
      const measured = lossOf({ samples, reached: applied, finalPosition: final, closedAt, sync, now: now() });
      const silent = !RULES.stateLoss || !RULES.catchUpWaits;
      const loss = silent ? noLoss('nothing is lost') : measured;
      world.say({ kind: 'loss', run: context.run.runId, store, loss });
      const complete = reachedAll() || !RULES.catchUpWaits;
      const catchUp = { region: to.region, node: server.name, applied, received: applied, complete, loss };
      return { ...receipt(complete ? 'everything is applied' : 'recorded how far it got'), catchUp };
    },

    async promote(to, from, proof, planned): Promise<PromoteReceipt> {
      await op();
      const token = tokenOf(context);
      const server = answering(to.region);
      const expected = planned.timeline ?? token.expectedTimeline;
      const done = (already: boolean): PromoteReceipt => ({
        ...receipt(`${server.name} is writable on timeline ${server.branch.timeline}`, {}, already),
        promote: {
          region: to.region,
          node: server.name,
          timeline: server.branch.timeline,
          forkPosition: position(server.branch.fork, server.branch.timeline - 1),
        },
      });
      if (!server.recovering) {
        mutate(world, server, context, 'promote', null, () => false);
        const before = expected ?? server.record.promote?.timeline ?? null;
        if (before === null || server.branch.timeline <= before)
          throw new RampartError('PreconditionFailed', `${server.name} is writable without having been promoted`);
        return done(true);
      }
      if (expected !== null && server.branch.timeline !== expected)
        throw new RampartError('Conflict', `${server.name} is on timeline ${server.branch.timeline}, not ${expected}`);
      assertProof(proof, from);
      await op();
      mutate(world, server, context, 'promote', server.branch.timeline, () => {
        assertProof(proof, from);
        const begun = server.promoting === server.life;
        server.record.promote = { epoch: token.epoch, timeline: server.branch.timeline };
        if (!begun) world.promote(server, PROMOTE_MS, from, proof, context.run.runId);
        return !begun;
      });
      await awaitPromoted(server);
      return done(false);
    },

    async revokePromote(to) {
      await op();
      const token = tokenOf(context);
      const server = serverIn(to.region);
      let reasons: string[] = [];
      mutate(world, server, context, 'revokePromote', null, () => {
        if (server.record.promote?.epoch === token.epoch) reasons.push('a promotion was begun');
        if (server.process !== 'up') reasons.push(`${server.name} cannot be read`);
        else if (!server.recovering) reasons.push(`${server.name} is writable`);
        else if (token.expectedTimeline !== null && higherThan(server.branch.timeline, token.expectedTimeline))
          reasons = [...reasons, `${server.name} is on timeline ${server.branch.timeline}`];
        return false;
      });
      const revoked = reasons.length === 0;
      return receipt(revoked ? 'no promotion has begun' : reasons.join('; '), { revoked, reasons });
    },

    async verifyWritable(to) {
      tokenOf(context);
      await op();
      const server = answering(to.region);
      if (server.recovering) throw new RampartError('PreconditionFailed', `${server.name} is in recovery`);
      await op();
      const others = world
        .servers(store)
        .filter((other) => other !== server && other.writable && world.reaches(context.place.region, other.region));
      if (others.length > 0)
        throw new RampartError('SplitBrain', `besides ${server.name}, ${others.map((o) => o.name)} takes writes too`);
      return receipt(`${server.name} took a write and is the only writable node`);
    },

    async rejoin(at, primary) {
      await op();
      const server = serverIn(at.region);
      const upstream = answering(primary);
      if (server.writable) throw new RampartError('NotFenced', `${server.name} accepts writes`);
      if (world.streams(server) && server.follows === primary) {
        mutate(world, server, context, 'rejoin', null, () => false);
        return receipt(`${server.name} follows ${upstream.name}`, {}, true);
      }
      if (upstream.recovering) throw new RampartError('PreconditionFailed', `${upstream.name} is no primary`);
      if (!world.fits(server, upstream))
        return receipt(`${server.name} went further than ${upstream.name}`, { needs: 'rebuild' }, true);
      mutate(world, server, context, 'rejoin', null, () => {
        const changed = server.follows !== primary || !server.signal || server.process === 'down';
        server.signal = true;
        server.recovering = true;
        server.follows = primary;
        server.record.fence = null;
        world.start(server, 'rampart');
        return changed;
      });
      if (await until(30_000, () => world.streams(server))) return receipt(`${server.name} follows ${upstream.name}`);
      throw new RampartError('NotApplied', `${server.name} does not stream from ${upstream.name}`);
    },

    async rebuild(at, primary) {
      await op();
      const server = serverIn(at.region);
      const upstream = answering(primary);
      if (server.writable) throw new RampartError('NotFenced', `${server.name} accepts writes`);
      if (world.streams(server)) return receipt(`${server.name} follows already`, {}, true);
      mutate(world, server, context, 'rebuild', null, () => {
        // It comes to rest first, and starts read-only from then on: what is kept is all there will ever be.
        server.signal = true;
        world.flow(store);
        world.kill(server, 'rampart');
        const { branch, end } = server;
        if (!world.fits(server, upstream)) server.aside.push({ branch, end });
        return true;
      });
      await clock.sleep(COPY_MS, context.signal);
      await op();
      answering(primary);
      mutate(world, server, context, 'rebuild', null, () => {
        world.flow(store);
        world.kill(server, 'rampart');
        Object.assign(server, { signal: true, recovering: true, follows: primary });
        Object.assign(server, { branch: upstream.branch, end: upstream.end, since: world.now });
        server.record.fence = null;
        world.start(server, 'rampart');
        return false;
      });
      if (await until(30_000, () => world.streams(server))) return receipt(`${server.name} was rebuilt, old data kept`);
      throw new RampartError('NotApplied', `${server.name} does not stream from ${upstream.name}`);
    },

    async release(at) {
      await op();
      const server = serverIn(at.region);
      const had = server.aside.length;
      mutate(world, server, context, 'release', null, () => {
        server.aside = [];
        return had > 0;
      });
      world.released.add(server.name);
      return receipt(`${had} kept copies let go of`, {}, had === 0);
    },

    escape: async () => ({ now: [], later: [] }),
  };

  async function awaitPromoted(server: Server): Promise<void> {
    const done = await until(600_000, () => {
      if (server.process !== 'up') throw unavailable(server);
      // What asked it to promote has died with its process.
      if (server.recovering && server.promoting !== server.life) throw unavailable(server);
      return server.writable;
    });
    if (!done) throw new RampartError('DeadlineExceeded', `${server.name} is still in recovery`);
  }
}

function savedWith(own: Journal['saved'], adopted?: Journal['saved']): Journal['saved'] {
  if (!RULES.tellsMove) return withoutMove({ ...own, ...adopted });
  return RULES.ownMove ? originals(own, adopted) : { ...own, ...adopted };
}

function withoutMove({ [MOVE]: _, ...saved }: Journal['saved']): Journal['saved'] {
  return saved;
}

/** A timeline only grows: a node on a lower one than expected was not promoted. */
const higherThan = (seen: number, expected: number): boolean =>
  RULES.timelinesGrow ? seen > expected : seen !== expected;
