/** The ramp's way back (I5, I7): every edge router returns to the last weights that passed their bake. */
import { patched } from '@temporalio/workflow';
import type { Weights } from '../../drivers/ports.ts';
import type { Stage, Step } from '../../plan/model.ts';
import { causeOf } from './errors.ts';
import { forget } from './forget.ts';
import { callFor, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';

/** Weights a router had before the ramp, from its first weight step's undo. */
function before(ramp: Stage, router: string): Weights | null {
  const first = ramp.steps.find((s) => s.verb === 'setWeights' && s.component === router);
  return (first?.undo?.input.weights as Weights | undefined) ?? null;
}

/**
 * Moves the traffic back to the last good weights: of the newest weight whose bake passed, else of the start.
 * The driver refuses to give weight to a place that is not healthy; then the traffic stays and people are told.
 * @returns a sentence of what was done
 */
export async function stepBack(run: Run, ramp: Stage): Promise<string> {
  const routers = [
    ...new Set(ramp.steps.flatMap((s) => (s.verb === 'setWeights' && s.component !== null ? [s.component] : []))),
  ];
  const said: string[] = [];
  for (const router of routers) {
    const passed = run.record.ramp.findLast((r) => r.router === router && r.bake === 'passed' && !r.steppedBack);
    const weights = passed?.weights ?? before(ramp, router);
    // Scheduled is enough: a weight whose answer was lost may be in effect. The driver says when it is there already.
    const touched = run.record.steps.some(
      (s) => s.verb === 'setWeights' && s.stage === 'ramp' && s.component === router,
    );
    if (weights === null || !touched) continue;
    const template = ramp.steps.find((s) => s.verb === 'setWeights' && s.component === router)!;
    const step: Step = {
      ...template,
      id: `step-back:${router}`,
      summary: `Move the traffic of ${router} back to the last good weights`,
      input: { ...template.input, weights, percent: passed?.percent ?? 0, stepBack: true },
      effect: 'reversible',
    };
    delete step.undo;
    try {
      const receipt = await schedule('setWeights', callFor(run, step, {}), optionsFor(step, null));
      run.weights[router] = weights;
      run.trafficPercent = passed?.percent ?? 0;
      for (const r of run.record.ramp)
        if (r.router === router && r !== passed && r.bake !== 'passed') {
          r.steppedBack = true;
          // Nobody has watched it, and what a later try comes to is no verdict on this one.
          if (r.bake === 'running' && patched('bake-that-never-ran')) r.bake = 'inconclusive';
        }
      said.push(receipt.summary);
    } catch (error) {
      const cause = causeOf(error);
      said.push(`${router} stays as it is: ${cause.message}`);
      run.addDebt({
        code: 'trafficNotMovedBack',
        component: router,
        region: null,
        message: `the traffic of ${router} could not be moved back: ${cause.message}`,
        remedy: `check the region it would go to, then start a trafficRamp for ${run.record.service}`,
      });
    }
  }
  // Weights that were left are set again when people say retry.
  forget(
    run,
    ramp.steps.filter((s) => Number(s.input.percent ?? 0) > (run.trafficPercent ?? 0)),
  );
  const text = said.length === 0 ? 'the traffic is at the last good weights' : said.join('; ');
  run.note(`step back: ${text}`);
  run.tell('weight-changed', `step back: ${text}`, 'warning');
  return text;
}
