import { describe, expect, it } from 'vitest';
import { clocksOf, phasesOf, timesOf } from '../../evidence/clocks.ts';
import { assessObjectives } from '../../evidence/objectives.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { plannedFailover, plannedLoad, rolledBack, T0, unplannedFailover, unplannedLoad, waiting } from './records.ts';

const objective = (record: RunRecord, name: string, load = null as Parameters<typeof assessObjectives>[1]) =>
  assessObjectives(record, load).find((o) => o.name.startsWith(name));

describe('clocks', () => {
  it('counts a planned run from its approval to its last green bake', () => {
    const at = Object.fromEntries(clocksOf(plannedFailover()).map((c) => [c.id, c.at === null ? null : c.at - T0]));
    expect(at).toEqual({ T0: 47_600, T1: null, T2: 47_600, T3: 0, T4: 48_652, T5: 58_090, T6: 58_090 });
  });

  it('counts an unplanned run from the last moment at which the source surely worked', () => {
    const record = unplannedFailover();
    expect(clocksOf(record)[0]).toMatchObject({ at: Date.parse(record.loss!.fromTime!) });
    expect(objective(record, 'Recovery time')).toMatchObject({
      actual: '10.7 s at most',
      basis: 'estimated',
      met: true,
    });
  });

  it('takes the word of who saw the harm begin', () => {
    const record = { ...unplannedFailover(), impactStartAt: T0 };
    expect(objective(record, 'Recovery time')).toMatchObject({ actual: '10 min 8 s', basis: 'estimated', met: false });
    const alerted = { ...record, impactStartBasis: 'measured' as const };
    expect(objective(alerted, 'Recovery time')).toMatchObject({ basis: 'measured', met: false });
    expect(clocksOf(alerted)[0]).toMatchObject({ source: 'the start of the alert', basis: 'measured' });
  });

  it('knows the approval of a leg of a drill', () => {
    const record = plannedFailover();
    record.decisions = [{ ...record.decisions[0]!, gate: 'leg1.cutover.2' }];
    expect(clocksOf(record)[2]).toMatchObject({ at: T0 + 47_600, source: 'approved by bob@example.com' });
  });

  it('tells whose time each phase was', () => {
    const record = { ...plannedFailover(), impactStartAt: T0 - 60_000, detectedAt: T0 - 10_000 };
    const phases = Object.fromEntries(phasesOf(record).map(({ name, from: _f, to: _t, ...p }) => [name, p]));
    expect(phases.Declaration).toEqual({
      ...{ totalMs: 57_600, beforeMs: 10_000, peopleMs: 47_200, machineMs: 400, basis: 'measured' },
    });
    expect(phases.Recovery).toEqual({
      ...{ totalMs: 118_090, beforeMs: 60_000, peopleMs: 47_200, machineMs: 10_890, basis: 'estimated' },
    });
    expect(phases.Orchestrated).toMatchObject({ totalMs: 10_490, beforeMs: 0, peopleMs: 0, machineMs: 10_490 });
  });

  it('counts a pause inside a wait for an approval once', () => {
    const pause = { kind: 'pause' as const, name: 'pause', startedAt: T0 + 20_000, endedAt: T0 + 30_000 };
    const record = { ...plannedFailover(), impactStartAt: T0 };
    const people = (r: RunRecord) => phasesOf(r).find((p) => p.name === 'Recovery')!.peopleMs;
    expect(people({ ...record, waits: [...record.waits!, pause] })).toBe(people(record));
  });

  it('takes health that nobody looked at for an estimate', () => {
    const record = unplannedFailover();
    const steps = record.steps.filter((s) => s.verb !== 'analyse');
    expect(clocksOf({ ...record, steps })[6]).toMatchObject({
      basis: 'estimated',
      source: 'T5: no bake was asked for',
    });
  });

  it('never calls an objective met that is counted from too late', () => {
    const record = { ...unplannedFailover(), loss: null, plans: [] };
    expect(objective(record, 'Recovery time')).toMatchObject({
      actual: '7.62 s since the start of the run',
      met: null,
    });
    expect(objective({ ...record, targets: { ...record.targets!, rtoMs: 1_000 } }, 'Recovery time')!.met).toBe(false);
  });
});

describe('objectives', () => {
  it('tells machine time from waiting for people', () => {
    expect(timesOf(plannedFailover())).toEqual({
      totalMs: 58_600,
      waitingMs: 47_200,
      machineMs: 11_400,
      freezeMs: 191,
    });
  });

  it('meets everything in a good planned run', () => {
    const all = assessObjectives(plannedFailover(), plannedLoad);
    expect(all.map((o) => [o.name, o.met])).toEqual([
      ['Recovery time (RTO)', true],
      ['Recovery point (RPO)', true],
      ['Write outage (freeze)', true],
      ['Traffic ramp', true],
      ['Acknowledged writes kept', true],
      ['Writes applied once', true],
    ]);
  });

  it('allows no loss at all in a planned run, whatever the tier allows', () => {
    const record = plannedFailover();
    record.loss = { ...record.loss!, kind: 'measured', seconds: 0.2 };
    expect(objective(record, 'Recovery point')!.met).toBe(false);
    expect(objective(plannedFailover(), 'Acknowledged', { ...plannedLoad, lost: 1 })!.met).toBe(false);
  });

  it('misses the recovery point when the loss is unknown', () => {
    const record = unplannedFailover();
    record.loss = { ...record.loss!, kind: 'unknown', seconds: null, toTime: null };
    expect(objective(record, 'Recovery point')).toMatchObject({ actual: 'unknown', met: false, basis: 'unknown' });
  });

  it('wants every lost write inside the stated window', () => {
    const record = unplannedFailover();
    const judged = (inside: boolean | null) =>
      objective(record, 'Lost writes', { ...unplannedLoad, lostInsideStatement: inside })!.met;
    expect([judged(true), judged(false), judged(null)]).toEqual([true, false, null]);
  });

  it('misses the freeze budget when it was used up', () => {
    const record = plannedFailover();
    record.freeze = { ...record.freeze, endedAt: record.freeze.startedAt! + 30_001, exceeded: true };
    expect(objective(record, 'Write outage')).toMatchObject({ met: false, margin: '−1 ms' });
  });

  it('judges nothing that has not ended', () => {
    expect(assessObjectives(waiting()).map((o) => o.met)).toEqual([null]);
  });

  it('does not ask a run that was put back how fast it recovered', () => {
    expect(assessObjectives(rolledBack()).map((o) => o.name)).toEqual(['Write outage (freeze)']);
  });

  it('does not promise protection while debt is left', () => {
    const record: RunRecord = { ...plannedFailover(), action: 'reprotect', ramp: [] };
    expect(objective(record, 'Protection')!.met).toBe(true);
    expect(objective({ ...record, debt: unplannedFailover().debt }, 'Protection')!.met).toBe(false);
  });

  it('keeps what the run itself judged', () => {
    const own = { name: 'Recovery time (RTO)', target: '5 min', actual: '1 s', met: true, basis: 'measured' as const };
    const all = assessObjectives({ ...plannedFailover(), objectives: [own] });
    expect(all.filter((o) => o.name === own.name)).toEqual([{ ...own, margin: null }]);
  });
});
