/** The exact next command for where a run stands. */
import type { RunStatus } from '../../../workflows/contract.ts';

export interface NextCommand {
  command: string;
  /** What it does, in a few words. */
  effect: string;
}

/** Commands that may apply now, the likeliest first. */
export function nextCommands(status: RunStatus): NextCommand[] {
  const { service, gate, holding, paused } = status;
  if (status.phase === 'closed') return [];
  if (gate !== null) {
    const override = gate.needsOverride.length > 0 ? ` --override ${gate.needsOverride.join(',')}` : '';
    const left = gate.required - gate.approvedBy.length;
    return [
      {
        command: `rampart approve ${service} --gate ${gate.id}${override}`,
        effect: left > 1 ? `one of ${left} approvals that are still needed` : 'go on',
      },
      { command: `rampart reject ${service} --gate ${gate.id}`, effect: 'do not go on' },
    ];
  }
  if (holding !== null) return holding.choices.map((choice) => choiceOf(choice, status));
  if (paused !== null) return [{ command: `rampart resume ${service}`, effect: 'go on' }];
  return [];
}

function choiceOf(choice: string, { service, steps }: RunStatus): NextCommand {
  const failedStep = steps.findLast((step) => step.state === 'failed')?.id ?? '<step>';
  switch (choice) {
    case 'retry':
      return { command: `rampart retry ${service}`, effect: 'try again what failed' };
    case 'skip':
      return { command: `rampart skip ${service} ${failedStep} --reason '…'`, effect: 'go on without that step' };
    case 'abort':
      return { command: `rampart abort ${service} --reason '…'`, effect: 'stop' };
    case 'escalate':
      return { command: `rampart escalate ${service} --reason '…'`, effect: 'turn it into an unplanned run' };
    default:
      return { command: `rampart ${choice} ${service}`, effect: '' };
  }
}
