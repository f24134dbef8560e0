/** A watch's life: what its vantage points see, what it makes of it, whom it tells, how long its history gets. */
import { afterEach, describe, expect, it } from 'vitest';
import type { PointReport } from '../../../plan/watch/model.ts';
import { isPointNews } from '../../../plan/watch/report.ts';
import { watchQueueOf } from '../../../workflows/contract.ts';
import { A, B, CONTROL, queues, startWatch, type WatchOptions, type WatchRun } from './world.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** A quarter takes a while: RAMPART_WATCH_DAYS=92. A few days show the same, since every round adds the same events. */
const DAYS = Number(process.env.RAMPART_WATCH_DAYS ?? 5);

let run: WatchRun;
const start = async (options?: WatchOptions): Promise<WatchRun> => {
  run = await startWatch(options);
  await run.ready();
  return run;
};
afterEach(async () => {
  await run?.harness.replay();
  await run?.dispose();
});

describe('a watch', () => {
  it('says that all is well, shows it where people look, and tells triggers that nothing is wrong', async () => {
    await start();
    const status = await run.until('well', ({ verdict }) => verdict === 'well');
    expect(status.points.map(({ point }) => point)).toEqual([CONTROL, A, B]);
    expect(run.workflow.searchAttributes).toMatchObject({ RampartService: 'checkout', RampartPhase: 'well' });
    expect(await run.workflow.currentDetails()).toMatch(/\*\*checkout: well\*\*.*\| eu-west \| .* \| answers \|/s);
    expect(run.news()).toEqual([]);
    expect(run.words()).toContain('resolved RegionDown eu-west');
  });

  it('asks for a quarter of an hour in one activity of each vantage point', async () => {
    await start();
    await run.harness.advance(2 * MINUTE);
    const before = { ...run.calls };
    await run.harness.advance(11 * MINUTE);
    expect(run.calls).toEqual(before);
    await run.harness.advance(15 * MINUTE);
    expect(run.calls).toEqual(Object.fromEntries([CONTROL, A, B].map((point) => [point, before[point]! + 1])));
  });

  it('tells of a region that is down, seen by two, since its first failed probe; and of its end', async () => {
    await start();
    await run.harness.advance(2 * MINUTE);
    const lost = run.harness.now;
    run.regions[A] = 'silent';
    const status = await run.until('down', run.down(A));
    expect(run.harness.now - lost).toBeLessThan(10_000);
    expect(status.verdict).toBe('wrong');
    const alert = run.news().find(({ labels }) => labels.alertname === 'RegionDown')!;
    expect(alert).toMatchObject({ source: 'watch', key: 'checkout/RegionDown/eu-west/', status: 'firing' });
    expect(alert.labels).toMatchObject({ service: 'checkout', region: A, vantages: '2/2' });
    expect(alert.startsAt! - lost).toBeLessThanOrEqual(2_000);
    expect(alert.startsAt!).toBeGreaterThanOrEqual(lost);
    expect(await run.workflow.currentDetails()).toContain('eu-west is down (checkout): every probe fails from 2/2');
    run.regions[A] = 'well';
    await run.until('well again', ({ verdict }) => verdict === 'well');
    const over = run.news().findLast(({ labels }) => labels.alertname === 'RegionDown')!;
    expect([over.status, over.key, over.startsAt]).toEqual(['resolved', alert.key, alert.startsAt]);
  });

  it('says again what goes on, so that a quorum within minutes can come', async () => {
    await start();
    run.regions[A] = 'silent';
    await run.until('down', run.down(A));
    const before = run.news().length;
    await run.harness.advance(10 * MINUTE + 1);
    const again = run
      .news()
      .slice(before)
      .filter(({ labels }) => labels.alertname === 'RegionDown');
    expect(again.length).toBeGreaterThanOrEqual(4);
    expect(again.length).toBeLessThanOrEqual(6);
    expect(new Set(run.news().map(({ delivery }) => delivery)).size).toBe(run.news().length);
    expect(new Set(again.map(({ startsAt }) => startsAt)).size).toBe(1);
  });

  it('tells of answers that are slow, and of no region', async () => {
    await start();
    await run.harness.advance(2 * MINUTE);
    run.regions[B] = 'slow';
    await run.until('slow', ({ verdict }) => verdict === 'wrong');
    expect(run.news().map(({ labels }) => labels.alertname)).toEqual(['LatencyHigh']);
    expect(run.news()[0]!.labels).toMatchObject({ probe: 'app', region: B });
  });
});

describe('what is not so', () => {
  it('one vantage point that is cut off says something of itself', async () => {
    await start();
    run.cut.add(`${CONTROL}>`);
    await run.harness.advance(10 * MINUTE);
    expect(run.news()).toEqual([]);
    const { points, blind } = await run.status();
    expect(points.find(({ point }) => point === CONTROL)!.report!.targets.map(({ silent }) => silent)).toEqual([
      true,
      true,
    ]);
    // The other one alone is not enough to say anything of either region, and people know it.
    expect(blind.map(({ region }) => region)).toEqual([A, B]);
    expect(run.told[0]).toContain('nothing can be told of eu-west: 1 of the 2 votes that are needed');
  });

  it('one link that is cut is no region that is down', async () => {
    await start();
    run.cut.add(`${B}>${A}`);
    await run.harness.advance(10 * MINUTE);
    expect(run.news()).toEqual([]);
    expect(await run.status()).toMatchObject({ verdict: 'well', blind: [] });
  });

  it('a region in which everything fails from inside alone', async () => {
    await start();
    run.cut.add(`${A}>${A}`);
    await run.harness.advance(5 * MINUTE);
    expect(run.news()).toEqual([]);
  });

  it('a service that answers errors everywhere is down everywhere: the network is not', async () => {
    await start();
    Object.assign(run.regions, { [A]: 'error', [B]: 'error' });
    await run.until('down', (status) => run.down(A)(status) && run.down(B)(status));
  });
});

describe('vantage points that do not answer', () => {
  it('are unknown: with all away nothing changes, also not what is wrong', async () => {
    await start();
    run.regions[A] = 'silent';
    await run.until('down', run.down(A));
    const before = run.words();
    for (const queue of queues) run.harness.removeWorkers(queue);
    run.regions[A] = 'well';
    await run.harness.advance(10 * MINUTE);
    const status = await run.status();
    expect(status.points.map(({ report }) => report)).toEqual([null, null, null]);
    expect(run.down(A)(status)).toBe(true);
    expect(run.words().filter((word) => word.startsWith('resolved'))).toEqual(
      before.filter((w) => w.startsWith('resolved')),
    );
    const opened = [A, B].map((region) =>
      expect.stringContaining(`opened: nothing can be told of ${region}: 0 of the 2`),
    );
    expect(run.told).toHaveLength(2);
    expect(run.told).toEqual(expect.arrayContaining(opened));
    for (const queue of queues) run.harness.addWorkers(queue);
    await run.until('well again', ({ verdict }) => verdict === 'well');
    await run.harness.settle();
    const cleared = [A, B].map((region) => `cleared: ${region} can be watched again`);
    expect(run.told.slice(2).sort()).toEqual(cleared.sort());
  });

  it('cost little while they are away', async () => {
    await start();
    for (const queue of queues) run.harness.removeWorkers(queue);
    await run.harness.advance(2 * MINUTE);
    const before = run.harness.trace.length;
    await run.harness.advance(6 * 60 * MINUTE);
    expect(run.harness.trace.length - before).toBeLessThan(3 * 4 * 6 * 10);
  });

  it('a frozen worker is unknown within half a minute, and its last word counts no longer', async () => {
    await start();
    run.frozen.add(B);
    run.harness.crashWorkers(watchQueueOf(B));
    await run.until('lost', ({ points }) => points.find(({ point }) => point === B)!.report === null, 45_000);
    run.regions[A] = 'silent';
    await run.harness.advance(5 * MINUTE);
    // Control alone sees it.
    expect(run.news()).toEqual([]);
    run.frozen.delete(B);
    run.harness.crashWorkers(watchQueueOf(B));
    await run.until('down', run.down(A));
  });

  it('a word that comes late, from a worker that had been given up, is not heard', async () => {
    let late: ((value: unknown) => void) | null = null;
    const down: PointReport['targets'] = [A, B].map((region) => ({
      ...{ probe: 'app', region, silent: region === A, text: 'no answer' },
      signals: {
        failing: { on: region === A, since: region === A ? 1 : null },
        errorRate: { on: null, since: null },
        latency: { on: null, since: null },
      },
    }));
    let first = true;
    await start({
      point: async (own, call, { point, shown, forMs, memory }) => {
        // It froze with the worst of words on its lips.
        if (point === B && shown !== null && first) {
          first = false;
          await new Promise((resolve) => {
            late = resolve;
          });
          return { why: 'changed', report: { at: call.now(), targets: down }, memory };
        }
        const targets = down.map((one) => ({
          ...one,
          ...{ silent: false, text: '' },
          signals: { ...one.signals, failing: { on: own.regions[one.region!] !== 'well', since: null } },
        }));
        const report: PointReport = { at: call.now(), targets };
        for (let left = forMs; left > 0 && !isPointNews(shown, report); left -= 5_000) {
          call.heartbeat();
          await call.sleep(Math.min(left, 5_000));
        }
        return { why: 'time', report, memory };
      },
    });
    await run.harness.advance(5 * MINUTE);
    expect(late).not.toBeNull();
    late!(undefined);
    run.regions[A] = 'silent';
    await run.harness.advance(MINUTE);
    run.regions[A] = 'well';
    await run.harness.settle();
    const { points } = await run.status();
    expect(points.find(({ point }) => point === B)!.report?.targets[0]?.silent).not.toBe(true);
    expect(run.news().filter(({ startsAt }) => startsAt === 1)).toEqual([]);
  });
});

describe('those who are told', () => {
  it('triggers that cannot be told are told later, the newest word of each alert', async () => {
    await start();
    run.deaf = true;
    run.regions[A] = 'silent';
    await run.until('down', run.down(A));
    await run.harness.advance(3 * MINUTE);
    expect(run.news()).toEqual([]);
    run.deaf = false;
    await run.harness.advance(2 * MINUTE);
    expect(run.news().some(({ labels, status }) => labels.alertname === 'RegionDown' && status === 'firing')).toBe(
      true,
    );
  });

  it('hear that it is over when the topology has the watch no more, or asks there no more', async () => {
    await start();
    run.regions[A] = 'silent';
    await run.until('down', run.down(A));
    run.watch = { ...run.watch!, regions: [B] };
    await run.workflow.signal('edited');
    await run.until('let go', (status) => !run.down(A)(status));
    await run.harness.settle();
    const last = () => run.news().findLast(({ labels }) => labels.alertname === 'RegionDown')!.status;
    expect(last()).toBe('resolved');
    run.watch = { ...run.watch, regions: [A, B] };
    await run.workflow.signal('edited');
    await run.until('down again', run.down(A));
    await run.harness.settle();
    expect(last()).toBe('firing');
    run.watch = null;
    await run.workflow.signal('edited');
    await run.workflow.runUntilClosed();
    expect(run.workflow.outcome).toMatchObject({ status: 'completed', result: 'the topology has no such watch' });
    expect(last()).toBe('resolved');
  });
});

it('refuses another workflow ID, under which it would not be alone', async () => {
  await start();
  const other = await run.harness.start('watch', { workflowId: 'mine', args: [{ watch: 'checkout' }] });
  expect(other.outcome).toMatchObject({ status: 'failed' });
});

it('keeps its history bounded, however long it watches', async () => {
  await start({
    // As long as nothing is new the real one does nothing but ask; what it asks is tested above.
    point: async (own, call, { watched, point, shown, forMs, memory }) => {
      const region = Math.floor(call.now() / DAY) % 2 === 0 ? 'well' : 'error';
      own.regions[A] = region;
      const targets = watched.watch.regions.map((one) => ({
        ...{ probe: 'app', region: one, silent: false, text: '' },
        signals: {
          failing: { on: own.regions[one] !== 'well', since: own.regions[one] === 'well' ? null : call.now() },
          errorRate: { on: false, since: null },
          latency: { on: false, since: null },
        },
      }));
      void point;
      const report: PointReport = { at: call.now(), targets };
      const news = isPointNews(shown, report);
      for (let left = forMs; !news && left > 0; left -= 14_000) {
        call.heartbeat({ memory });
        await call.sleep(Math.min(left, 14_000));
      }
      return { why: news ? 'changed' : 'time', report, memory };
    },
  });
  await run.harness.advance(DAYS * DAY);
  const runs = new Map<string, number>();
  for (const { runId } of run.workflow.trace) runs.set(runId, (runs.get(runId) ?? 0) + 1);
  expect(run.workflow.outcome).toBeNull();
  expect(runs.size).toBeGreaterThanOrEqual(2);
  expect(Math.max(...runs.values())).toBeLessThan(4_096 + 200);
  // Down for a day, well for a day; each said when it began, again while it went on, and when it ended.
  const ends = run.news().filter(({ status, labels }) => status === 'resolved' && labels.alertname === 'RegionDown');
  expect(ends.length).toBeGreaterThanOrEqual(Math.floor(DAYS / 2) - 1);
  expect(ends.length).toBeLessThanOrEqual(Math.ceil(DAYS / 2) + 1);
  if (DAYS > 30)
    console.log({
      days: DAYS,
      calls: run.calls,
      runs: runs.size,
      longest: Math.max(...runs.values()),
      events: run.workflow.trace.length,
    });
}, 3_600_000);
