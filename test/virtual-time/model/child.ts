/** The parent's side of a child workflow. */
import { type Command, decode, type Failure, type Job } from '../sdk.ts';
import { cancelled, childFailure, RETRY_STATE, type RetryState } from './failures.ts';
import type { Ending, WorkflowRun } from './run.ts';

/** `coresdk.child_workflow.ChildWorkflowCancellationType` */
const CANCELLATION = ['ABANDON', 'TRY_CANCEL', 'WAIT_CANCELLATION_COMPLETED', 'WAIT_CANCELLATION_REQUESTED'] as const;
/** `coresdk.child_workflow.ParentClosePolicy` */
const CLOSE_POLICY = ['TERMINATE', 'TERMINATE', 'ABANDON', 'REQUEST_CANCEL'] as const;

export class ChildWorkflow {
  readonly cancellation: (typeof CANCELLATION)[number];
  readonly #parent: WorkflowRun;
  readonly #attributes: NonNullable<Command['startChildWorkflowExecution']>;
  #runId = '';
  #state: 'initiated' | 'started' | 'closed' = 'initiated';
  /** The parent has been told that it is cancelled, and hears no more of it. */
  #muted = false;

  constructor(parent: WorkflowRun, command: Command) {
    this.#parent = parent;
    this.#attributes = command.startChildWorkflowExecution as NonNullable<Command['startChildWorkflowExecution']>;
    this.cancellation = CANCELLATION[this.#attributes.cancellationType ?? 0] as (typeof CANCELLATION)[number];
  }

  get #named(): { name: string; id: string } {
    return { name: this.#attributes.workflowType as string, id: this.#attributes.workflowId as string };
  }

  /** The command has reached the server, which starts the child in its own time. */
  initiated(): void {
    const detail = (this.#attributes.input ?? []).map(decode);
    this.#parent.record('startChildWorkflowExecutionInitiated', { ...this.#named, detail });
    this.#parent.namespace.defer(() => this.#start());
  }

  async #start(): Promise<void> {
    const { namespace, spec } = this.#parent;
    const { workflowType, workflowId, taskQueue, input, searchAttributes, memo, workflowIdReusePolicy } =
      this.#attributes;
    const seq = this.#attributes.seq as number;
    const started = await namespace.start(
      {
        workflowId: workflowId as string,
        type: workflowType as string,
        queue: taskQueue as string,
        args: input ?? [],
        searchAttributes: searchAttributes?.indexedFields ?? {},
        memo: memo ?? {},
        reuse: workflowIdReusePolicy ?? 0,
        parent: { workflowId: spec.workflowId, runId: spec.runId, namespace: namespace.name },
      },
      (ending) => this.#ended(ending),
    );
    if (!started) {
      this.#state = 'closed';
      this.#parent.record('startChildWorkflowExecutionFailed', this.#named);
      const failed = { workflowId, workflowType, cause: 1 };
      if (!this.#muted) this.#parent.enqueue({ resolveChildWorkflowExecutionStart: { seq, failed } });
      return;
    }
    this.#state = 'started';
    this.#runId = started.runId;
    this.#parent.record('childWorkflowExecutionStarted', this.#named);
    const succeeded = { runId: started.runId };
    if (!this.#muted) this.#parent.enqueue({ resolveChildWorkflowExecutionStart: { seq, succeeded } });
  }

  /** The server passes the parent's cancel request on. */
  requestCancel(): void {
    const { id } = this.#named;
    if (this.#state === 'closed') return;
    this.#parent.record('requestCancelExternalWorkflowExecutionInitiated', { id });
    this.#parent.namespace.defer(() => {
      const reached = this.#parent.namespace.requestCancel(id, null, '');
      this.#parent.record(
        reached ? 'externalWorkflowExecutionCancelRequested' : 'requestCancelExternalWorkflowExecutionFailed',
        { id },
      );
      if (this.cancellation !== 'WAIT_CANCELLATION_REQUESTED' || this.#muted) return;
      this.#muted = true;
      this.#parent.enqueue(this.cancelledJob());
    });
  }

  /** Whether the parent is told `cancelled` inside the workflow task that asks for it. */
  resolvesOnCancelRequest(): boolean {
    if (this.#muted || this.#state === 'closed') return false;
    this.#muted = this.cancellation === 'ABANDON' || this.cancellation === 'TRY_CANCEL';
    return this.#muted;
  }

  cancelledJob(): Job {
    const failure = this.#failure('Child Workflow execution cancelled', cancelled);
    return {
      resolveChildWorkflowExecution: { seq: this.#attributes.seq as number, result: { cancelled: { failure } } },
    };
  }

  cancelledBeforeStart(reason: string): Job {
    const failure = this.#failure(`Child Workflow Execution cancelled before scheduled: ${reason}`, cancelled);
    return { resolveChildWorkflowExecutionStart: { seq: this.#attributes.seq as number, cancelled: { failure } } };
  }

  parentClosed(): void {
    if (this.#state !== 'started') return;
    this.#muted = true;
    const { namespace } = this.#parent;
    const policy = CLOSE_POLICY[this.#attributes.parentClosePolicy ?? 0];
    if (policy === 'REQUEST_CANCEL') namespace.requestCancel(this.#named.id, null, 'by parent close policy');
    else if (policy === 'TERMINATE') namespace.terminate(this.#named.id);
  }

  #ended(ending: Ending): void {
    this.#state = 'closed';
    if (!this.#parent.open) return;
    const seq = this.#attributes.seq as number;
    const tell = (event: Parameters<WorkflowRun['record']>[0], job: Job): void => {
      this.#parent.record(event, this.#named);
      if (!this.#muted) this.#parent.enqueue(job);
    };
    const failed = (message: string, cause: Failure, state?: RetryState): Job => ({
      resolveChildWorkflowExecution: { seq, result: { failed: { failure: this.#failure(message, cause, state) } } },
    });
    if (ending.kind === 'completed') {
      const completed = { result: ending.result };
      tell('childWorkflowExecutionCompleted', { resolveChildWorkflowExecution: { seq, result: { completed } } });
    } else if (ending.kind === 'failed') {
      const job = failed('Child Workflow execution failed', ending.failure, RETRY_STATE.retryPolicyNotSet);
      tell('childWorkflowExecutionFailed', job);
    } else if (ending.kind === 'canceled') tell('childWorkflowExecutionCanceled', this.cancelledJob());
    else if (ending.kind === 'terminated') {
      const cause: Failure = { message: 'Terminated', terminatedFailureInfo: {} };
      tell('childWorkflowExecutionTerminated', failed('Child Workflow execution terminated', cause));
    }
  }

  #failure(message: string, cause: Failure, state?: RetryState): Failure {
    const { name: type, id: workflowId } = this.#named;
    const child = { type, workflowId, runId: this.#runId, namespace: this.#parent.namespace.name };
    return childFailure(message, child, cause, state);
  }
}
