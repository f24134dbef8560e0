/** The bake after a weight: measure the checks at an interval, fail as soon as too many did not pass. */
import { activityInfo } from '@temporalio/activity';
import { clock } from '../drivers/clock.ts';
import { RampartError } from '../drivers/errors.ts';
import type { CheckResult, DriverContext, Receipt } from '../drivers/ports.ts';
import { metrics } from '../metrics/process.ts';
import type { StepCall } from '../plan/model.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';

interface Progress {
  /** How long it was measured so far, in milliseconds. */
  heldMs: number;
  measured: number;
  failed: Record<string, number>;
}

/**
 * Lasts until it was measured for the whole time: what passes between the end of one worker and the start of the next,
 * or while a worker stands still, was measured by nobody and does not count.
 * Input: durationMs, intervalMs, failureLimit (fails when failed > failureLimit), region, percent; checks in `related`.
 * A measurement without an answer counts against the limit like a failed one: unknown is not good.
 * @throws RampartError AnalysisFailed with observed against threshold
 */
export async function analyse(deps: ActivityDeps, call: StepCall, context: DriverContext): Promise<Receipt> {
  const durationMs = Number(call.input.durationMs);
  const intervalMs = Math.max(Number(call.input.intervalMs), 50);
  const limit = Number(call.input.failureLimit ?? 0);
  const region = String(call.input.region ?? call.to);
  // A bake that moves to another worker goes on from where it was, so that a restart does not double it.
  const before = activityInfo().heartbeatDetails as Partial<Progress> | undefined;
  const progress: Progress = {
    heldMs: before?.heldMs ?? 0,
    measured: before?.measured ?? 0,
    failed: before?.failed ?? {},
  };
  const resumed = progress.measured > 0;
  const last: Record<string, CheckResult> = {};
  // A worker that is lost before its first measurement hands on what it was handed.
  context.heartbeat({ ...progress });
  for (let pause: number | null = null; ; ) {
    const began = clock.monotonic();
    const results = await Promise.all(
      call.related.map(
        async (component) => [component.name, await open(deps, component, 'check', context).run(region)] as const,
      ),
    );
    progress.measured += 1;
    if (pause !== null) progress.heldMs += pause + (clock.monotonic() - began);
    for (const [name, result] of results) {
      last[name] = result;
      metrics.count('rampart_analysis_measurements_total', {
        service: call.run.service,
        check: name,
        result: result.outcome,
      });
      if (result.outcome !== 'pass') progress.failed[name] = (progress.failed[name] ?? 0) + 1;
    }
    context.heartbeat({ ...progress });
    const breached = Object.entries(progress.failed).filter(([, n]) => n > limit);
    if (breached.length > 0)
      throw new RampartError(
        'AnalysisFailed',
        `at ${String(call.input.percent)} % in ${region}: ${breached.map(([name, n]) => `${lineOf(name, last[name]!)} (${n} of ${progress.measured} measurements did not pass, ${limit} tolerated)`).join('; ')}`,
        { remedy: 'The traffic goes back to the last good weights; look at the service, then retry.' },
      );
    const left = durationMs - progress.heldMs;
    if (left <= 0) break;
    pause = Math.min(intervalMs, left);
    await clock.sleep(pause, context.signal);
  }
  const lines = Object.entries(last).map(([name, result]) => lineOf(name, result));
  return {
    already: false,
    at: context.now(),
    summary: `${String(call.input.percent)} % held for ${durationMs / 1000} s${resumed ? ' (with interruptions: only what was measured counts)' : ''}: ${lines.join('; ') || 'no checks to measure'}`,
    facts: { outcome: 'pass', measurements: lines, measured: progress.measured },
  };
}

export function lineOf(name: string, result: CheckResult): string {
  return `${name}: ${result.outcome}, observed ${result.observed} against ${result.threshold}${result.detail ? ` (${result.detail})` : ''}`;
}
