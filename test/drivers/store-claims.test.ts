/** What a claim does with the open journal that it finds. */
import { describe, expect, it } from 'vitest';
import type { Claim, Journal } from '../../drivers/ports.ts';
import { takeClaim } from '../../drivers/store-claims.ts';

const [A, B, C] = ['eu-west', 'eu-central', 'eu-north'];
const claim = (epoch: number): Claim => ({ epoch, runId: `run-${epoch}`, seq: 1, at: 0 });
const journal = (epoch: number, saved: Journal['saved'], open = true): Journal => ({
  ...{ runId: `run-${epoch}`, workflowId: 'failover/checkout', epoch, service: 'checkout', component: 'orders-db' },
  ...{ saved, fencedAt: null, freezeBudgetMs: 30_000, lastTouched: 0, open },
});
const move = (from: string | undefined, to: string | undefined) => ({ move: { from: from!, to: to! } });
/** What the second run's journal holds after that of the first. */
const saved = (first: Journal, second: Journal['saved']) =>
  takeClaim('orders-db', { claim: claim(1), journal: first }, claim(2), journal(2, second), 9).save?.journal?.saved;

const FIRST = { 'save:writer': 30, [`save:shop@${A}`]: 'active', [`save:shop@${B}`]: 'standby' };
const SECOND = { 'save:writer': 1, [`save:shop@${A}`]: 'standby', [`save:shop@${B}`]: 'active' };

describe('the originals of a journal that is still open', () => {
  it('are kept by a run that goes the same way', () => {
    const own = { ...SECOND, ...move(A, B) };
    expect(saved(journal(1, { ...FIRST, ...move(A, B) }), own)).toEqual({ ...FIRST, ...move(A, B) });
  });

  it('are kept by a run that leaves the same side for another; the move is its own', () => {
    const own = { ...SECOND, [`save:shop@${C}`]: 'standby', ...move(A, C) };
    const kept = saved(journal(1, { ...FIRST, ...move(A, B) }), own);
    expect(kept).toEqual({ ...FIRST, [`save:shop@${C}`]: 'standby', ...move(A, C) });
  });

  it('are not what the apps were before a move, for a run that leads away from where it led', () => {
    const kept = saved(journal(1, { ...FIRST, ...move(A, B) }), { ...SECOND, ...move(B, A) });
    expect(kept).toEqual({ ...SECOND, 'save:writer': 30, ...move(B, A) });
  });

  it('are nothing to a run that finds the journal closed', () => {
    const own = { ...SECOND, ...move(A, B) };
    expect(saved(journal(1, { ...FIRST, ...move(A, B) }, false), own)).toEqual(own);
  });
});
