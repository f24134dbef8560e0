/** What goes wrong on the way to an AWS fake and back, as told by a test. */
import { type AwsCall, AwsError, type FakeService } from './protocol.ts';

/**
 * `hang`: no answer, ever. `reset`: the connection ends without an answer. `cut`: applied, and the answer ends in
 * mid-body. `throttled`, `denied`, `expired`, `unavailable` (503): an error, nothing applied. `nothing`: HTTP 200 with
 * the usual answer, and nothing was done. `pass`: no fault; for `before` alone.
 */
export type Fault =
  | 'hang'
  | 'reset'
  | 'cut'
  | 'throttled'
  | 'denied'
  | 'expired'
  | 'unavailable'
  | 'nothing'
  | 'pass'
  | AwsError;

export interface FaultRule {
  fault: Fault;
  service?: string;
  /** One operation, several, or all when absent. */
  operation?: string | string[];
  region?: string;
  account?: string;
  endpoint?: number;
  /** Calls that match and pass before the fault begins; 0 when absent. */
  after?: number;
  /** How many calls meet it; all of them when absent. */
  times?: number;
  /** `hang` and `reset`: the call is carried out, and only its answer is lost. */
  applied?: boolean;
  /** Runs before the call that meets the rule: somebody else changes something meanwhile. */
  before?: (call: AwsCall) => void | Promise<void>;
}

interface Standing extends FaultRule {
  passed: number;
  met: number;
}

export class Faults {
  #rules: Standing[] = [];

  /** Of several rules that match, the one added last counts. */
  add(rule: FaultRule): () => void {
    const standing = { ...rule, passed: 0, met: 0 };
    this.#rules.unshift(standing);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== standing);
    };
  }

  clear(): void {
    this.#rules = [];
  }

  /** The rule that this call meets, counted. */
  async meet(call: AwsCall): Promise<FaultRule | undefined> {
    for (const rule of this.#rules) {
      if (!matches(rule, call) || rule.met >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (rule.passed < (rule.after ?? 0)) {
        rule.passed++;
        continue;
      }
      rule.met++;
      await rule.before?.(call);
      return rule;
    }
    return undefined;
  }

  /** The error that is answered instead of the call; `undefined` for faults that are none. */
  static refusal({ fault }: FaultRule, service: FakeService): AwsError | undefined {
    if (fault instanceof AwsError) return fault;
    const json = service.protocol.startsWith('json');
    switch (fault) {
      case 'throttled':
        return new AwsError(json ? 'ThrottlingException' : 'Throttling', 'Rate exceeded', 400);
      case 'denied':
        return new AwsError(
          json ? 'AccessDeniedException' : 'AccessDenied',
          'User: arn:aws:iam::000000000000:user/rampart is not authorized to perform this action',
          json ? 400 : 403,
        );
      case 'expired':
        return new AwsError(
          json ? 'ExpiredTokenException' : 'ExpiredToken',
          'The security token included in the request is expired',
          json ? 400 : 403,
        );
      case 'unavailable':
        return new AwsError(json ? 'ServiceUnavailableException' : 'ServiceUnavailable', 'Service Unavailable', 503);
      default:
        return undefined;
    }
  }
}

function matches(rule: FaultRule, call: AwsCall): boolean {
  const operations = rule.operation === undefined ? undefined : [rule.operation].flat();
  return (
    (operations?.includes(call.operation) ?? true) &&
    (rule.service ?? call.service) === call.service &&
    (rule.region ?? call.region) === call.region &&
    (rule.account ?? call.account) === call.account &&
    (rule.endpoint ?? call.endpoint) === call.endpoint
  );
}
