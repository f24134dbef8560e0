/**
 * The closed set of errors drivers and activities fail with. Drivers translate their system's own codes into these;
 * activities turn them into Temporal failures of the same type, retryable or not as the table says.
 */
export const ERROR_TYPES = {
  /** The request, the topology or a message is wrong. Repeating it cannot help. */
  InvalidInput: { retryable: false },
  /** The world is not in the state the step needs. */
  PreconditionFailed: { retryable: false },
  /** No fence proof that is strong and fresh enough. */
  NotFenced: { retryable: false },
  LagTooHigh: { retryable: false },
  SplitBrain: { retryable: false },
  /** A token, claim or base differs: somebody else acted. */
  Conflict: { retryable: false },
  /** Wrong credentials or missing rights. */
  AccessDenied: { retryable: false },
  /** The system or its control plane did not answer, or answered that it is busy. */
  ProviderUnavailable: { retryable: true },
  /** It accepted a change and does not show it. */
  NotApplied: { retryable: true },
  /** A wait ran into its deadline; what was observed last is in the message. */
  DeadlineExceeded: { retryable: false },
  /** The package of a driver is not installed. */
  MissingPackage: { retryable: false },
  ApprovalRejected: { retryable: false },
  ApprovalTimedOut: { retryable: false },
  FreezeBudgetExceeded: { retryable: false },
  CompensationFailed: { retryable: false },
  WorkerAbsent: { retryable: true },
  AnalysisFailed: { retryable: false },
  Refused: { retryable: false },
  RolledBack: { retryable: false },
  NeedsHuman: { retryable: false },
} as const;

export type ErrorType = keyof typeof ERROR_TYPES;

/** A failure people can act on. `remedy` says what to do next; neither text may hold a secret. */
export class RampartError extends Error {
  readonly type: ErrorType;
  readonly remedy: string;
  readonly details: Record<string, unknown>;

  constructor(
    type: ErrorType,
    message: string,
    options: { remedy?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = type;
    this.type = type;
    this.remedy = options.remedy ?? '';
    this.details = options.details ?? {};
  }
}
