/**
 * ARC routing controls: one cluster of any number of endpoints (the server's listeners), safety rules, replication that
 * can be held up, endpoints in maintenance. Shapes and error names as the SDK's client of route53-recovery-cluster has them.
 */
import { type AwsCall, AwsError, type FakeService } from './protocol.ts';

export type ControlState = 'On' | 'Off';

/** At least so many of the controls must be on after a change; `gate`: must be on for any change of them. */
export interface SafetyRule {
  arn: string;
  controls: string[];
  atLeast?: number;
  gate?: string;
}

const PANEL = 'arn:aws:route53-recovery-control::123456789012:controlpanel/0123456789abcdef';
export const controlArn = (id: string): string => `${PANEL}/routingcontrol/${id}`;
export const ruleArn = (id: string): string => `${PANEL}/safetyrule/${id}`;

interface Control {
  name: string;
  state: ControlState;
  /** Changes are accepted and never made. */
  deaf?: boolean;
}

export class FakeArc {
  readonly controls = new Map<string, Control>();
  rules: SafetyRule[] = [];
  /** Endpoints that still show what was before the newest change. */
  readonly behind = new Set<number>();
  /** How many changes a rule's wait period still refuses. */
  waiting = 0;
  /** Batches as they were accepted, with the rules that they overrode. */
  readonly accepted: Array<{ endpoint: number; states: Record<string, ControlState>; overridden: string[] }> = [];
  #old = new Map<string, ControlState>();

  add(id: string, name: string, state: ControlState, options: { deaf?: boolean } = {}): string {
    const arn = controlArn(id);
    this.controls.set(arn, { name, state, ...options });
    return arn;
  }

  /** What an endpoint shows. */
  shows(arn: string, endpoint: number): ControlState {
    const { state } = this.control(arn);
    return this.behind.has(endpoint) ? (this.#old.get(arn) ?? state) : state;
  }

  /** Changes states as a person with the console does. */
  set(states: Record<string, ControlState>): void {
    this.#old = new Map([...this.controls].map(([arn, { state }]) => [arn, state]));
    for (const [arn, state] of Object.entries(states)) this.control(arn).state = state;
  }

  control(arn: string): Control {
    const control = this.controls.get(arn);
    if (control !== undefined) return control;
    throw new AwsError('ResourceNotFoundException', 'Routing control not found', 404, {
      resourceId: arn,
      resourceType: 'RoutingControl',
    });
  }

  service(): FakeService {
    return {
      scope: 'route53-recovery-cluster',
      protocol: 'json1.0',
      operations: {
        GetRoutingControlState: ({ input, endpoint }) => ({
          RoutingControlArn: input.RoutingControlArn,
          RoutingControlName: this.control(input.RoutingControlArn).name,
          RoutingControlState: this.shows(input.RoutingControlArn, endpoint),
        }),
        UpdateRoutingControlStates: (call) => this.#update(call),
      },
      snapshot: () => {
        const states = Object.fromEntries([...this.controls].map(([arn, { state }]) => [arn, state]));
        const accepted = this.accepted.length;
        return () => {
          this.set(states);
          this.accepted.length = accepted;
        };
      },
    };
  }

  #update({ input, endpoint }: AwsCall): object {
    const entries: Array<{ RoutingControlArn: string; RoutingControlState: ControlState }> =
      input.UpdateRoutingControlStateEntries;
    if (entries.length > 10) {
      const limits = { limitCode: 'MaxRoutingControlsPerUpdate', serviceCode: 'route53-recovery-cluster' };
      throw new AwsError('ServiceLimitExceededException', 'Too many routing controls in one request', 402, limits);
    }
    const states = Object.fromEntries(entries.map((one) => [one.RoutingControlArn, one.RoutingControlState]));
    for (const arn of Object.keys(states)) this.control(arn);
    const overridden: string[] = input.SafetyRulesToOverride ?? [];
    for (const rule of this.rules) {
      if (!overridden.includes(rule.arn) && this.#breaks(rule, states)) throw violation(rule);
    }
    if (this.waiting > 0 && this.rules[0] !== undefined && !overridden.includes(this.rules[0].arn)) {
      this.waiting -= 1;
      throw violation(this.rules[0]);
    }
    this.accepted.push({ endpoint, states, overridden });
    this.set(Object.fromEntries(Object.entries(states).filter(([arn]) => this.control(arn).deaf !== true)));
    return {};
  }

  /** Rules look at what is changed, and at all of it as one change. */
  #breaks({ controls, atLeast, gate }: SafetyRule, states: Record<string, ControlState>): boolean {
    const changed = controls.filter((arn) => states[arn] !== undefined && states[arn] !== this.control(arn).state);
    if (changed.length === 0) return false;
    if (gate !== undefined && (states[gate] ?? this.control(gate).state) === 'Off') return true;
    const on = controls.filter((arn) => (states[arn] ?? this.control(arn).state) === 'On');
    return atLeast !== undefined && on.length < atLeast;
  }
}

function violation({ arn }: SafetyRule): AwsError {
  return new AwsError('ValidationException', `The update is blocked by the safety rule ${arn}.`, 400, {
    reason: 'OTHER',
  });
}

/** An endpoint in maintenance. */
export const inMaintenance = new AwsError(
  'EndpointTemporarilyUnavailableException',
  'The cluster endpoint is not available. Try another cluster endpoint.',
  503,
);
