/**
 * Every use of the Temporal SDK's insides, in one place: the workflow sandbox of the worker, driven without a worker.
 * The imports below `lib/` are no public API, so the SDK's version is pinned exactly in package.json and
 * `sdk.test.ts` fails with a readable message when an upgrade moves them.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import {
  defaultFailureConverter,
  defaultPayloadConverter,
  type Payload,
  type SearchAttributePair,
  TypedSearchAttributes,
  toPayloads,
} from '@temporalio/common';
import { encodeUnifiedSearchAttributes } from '@temporalio/common/lib/converter/payload-search-attributes.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import type { coresdk, temporal } from '@temporalio/proto';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { parseWorkflowCode } from '@temporalio/worker/lib/worker.js';
import { ReusableVMWorkflowCreator } from '@temporalio/worker/lib/workflow/reusable-vm.js';
import { globalHandlers } from '@temporalio/worker/lib/workflow/vm-shared.js';
import type { WorkflowInfo } from '@temporalio/workflow';

export type Job = coresdk.workflow_activation.IWorkflowActivationJob;
export type Command = coresdk.workflow_commands.IWorkflowCommand;
export type Failure = temporal.api.failure.v1.IFailure;
export type ActivityResolution = coresdk.activity_result.IActivityResolution;
export type Duration = { seconds?: unknown; nanos?: number | null } | null | undefined;
export type { Payload };

/** Required, because its exports are not visible to an `import` outside of the test runner. */
const proto = createRequire(import.meta.url)('@temporalio/proto') as typeof import('@temporalio/proto');

/** A workflow bundle, parsed once; shared by every world that runs it. */
export type Bundle = ReturnType<typeof parseWorkflowCode>;

const bundles = new Map<string, Promise<Bundle>>();

/** Bundles the workflows at this path (about a second), once per process. */
export function loadBundle(workflowsPath: string): Promise<Bundle> {
  let bundle = bundles.get(workflowsPath);
  if (!bundle) {
    bundle = bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') }).then(({ code }) =>
      parseWorkflowCode(code),
    );
    bundles.set(workflowsPath, bundle);
  }
  return bundle;
}

/** A bundle's code, wherever it comes from. */
export function parseBundle(code: string, path: string): Bundle {
  return parseWorkflowCode(code, path);
}

/** A bundle built before, for example by `scripts/build.mjs`. */
export function readBundle(codePath: string): Promise<Bundle> {
  let bundle = bundles.get(codePath);
  if (!bundle) {
    bundle = readFile(codePath, 'utf8').then((code) => parseWorkflowCode(code, codePath));
    bundles.set(codePath, bundle);
  }
  return bundle;
}

/** The worker's sandbox for one bundle. Creating it costs tens of milliseconds: keep it for many runs. */
export interface Sandbox {
  create(identity: RunIdentity): Promise<SandboxedRun>;
  destroy(): Promise<void>;
}

/** One run's workflow code in the sandbox. */
export interface SandboxedRun {
  /** Hands the jobs over as one activation; returns the commands, or the failure of the workflow task. */
  activate(activation: Activation): Promise<{ commands: Command[]; flags: number[] } | { taskFailure: Failure }>;
  dispose(): Promise<void>;
}

export interface Activation {
  jobs: Job[];
  /** Workflow time in milliseconds since the epoch. */
  at: number;
  replaying: boolean;
  historyLength: number;
  continueAsNewSuggested: boolean;
  /** Replay: the SDK's own switches that the first execution used. */
  flags: number[];
}

export interface RunIdentity {
  workflowId: string;
  runId: string;
  firstRunId: string;
  workflowType: string;
  taskQueue: string;
  namespace: string;
  startedAt: number;
  parent: { workflowId: string; runId: string; namespace: string } | null;
  continuedFrom: string | null;
}

export interface LogLine {
  level: string;
  message: string;
  attributes: Record<string, unknown>;
}

/** What workflow code recorded through `metricMeter`. */
export interface Measurement {
  name: string;
  value: number;
  tags: Record<string, unknown>;
}

/** Arguments of the SDK's sink: the name first, the value and the tags last. */
const measurementOf = (args: unknown[]): Measurement => ({
  name: String(args[0]),
  value: Number(args.at(-2)),
  tags: (args.at(-1) ?? {}) as Record<string, unknown>,
});

/**
 * @param metered receives what workflow code measures
 * @param log receives what workflow code logs through `log` of `@temporalio/workflow`
 */
export async function createSandbox(
  bundle: Bundle,
  log: (line: LogLine) => void,
  metered?: (measurement: Measurement) => void,
): Promise<Sandbox> {
  // No bound on the time inside the sandbox: the bound costs a watchdog thread for every entry.
  const unbounded = undefined as unknown as number;
  const creator = await ReusableVMWorkflowCreator.create(bundle, unbounded, new Set(['default']));
  // Stack traces of every promise are for the Web UI's call stack; they make a run many times slower.
  const handlers = globalHandlers as unknown as { stopPromiseHook(): void; promiseHookInstalled: boolean };
  handlers.stopPromiseHook();
  handlers.promiseHookInstalled = false;

  return {
    async create(identity) {
      const workflow = await creator.createWorkflow({
        info: workflowInfo(identity),
        randomnessSeed: seedOf(identity.runId),
        now: identity.startedAt,
        showStackTraceSources: false,
      });
      let disposed = false;
      return {
        async activate(activation) {
          const completion = await workflow.activate(
            proto.coresdk.workflow_activation.WorkflowActivation.fromObject({
              runId: identity.runId,
              timestamp: timestamp(activation.at),
              isReplaying: activation.replaying,
              historyLength: activation.historyLength,
              continueAsNewSuggested: activation.continueAsNewSuggested,
              availableInternalFlags: activation.flags,
              jobs: activation.jobs,
            }),
          );
          for (const call of await workflow.getAndResetSinkCalls()) {
            // In a replay too, in which the SDK must have left it out by itself.
            if (call.ifaceName === '__temporal_metrics') metered?.(measurementOf(call.args));
            if (call.ifaceName !== '__temporal_logger' || activation.replaying) continue;
            log({
              level: call.fnName,
              message: String(call.args[0]),
              attributes: (call.args[1] ?? {}) as Record<string, unknown>,
            });
          }
          if (completion.failed) return { taskFailure: completion.failed.failure ?? { message: 'unknown failure' } };
          const { commands, usedInternalFlags } = completion.successful ?? {};
          return { commands: commands ?? [], flags: usedInternalFlags ?? [] };
        },
        async dispose() {
          if (!disposed) await workflow.dispose();
          disposed = true;
        },
      };
    },
    destroy: () => creator.destroy(),
  };
}

function workflowInfo(identity: RunIdentity): WorkflowInfo {
  return {
    workflowId: identity.workflowId,
    runId: identity.runId,
    workflowType: identity.workflowType,
    taskQueue: identity.taskQueue,
    namespace: identity.namespace,
    firstExecutionRunId: identity.firstRunId,
    originalExecutionRunId: identity.runId,
    continuedFromExecutionRunId: identity.continuedFrom ?? undefined,
    parent: identity.parent ?? undefined,
    startTime: new Date(identity.startedAt),
    runStartTime: new Date(identity.startedAt),
    attempt: 1,
    taskTimeoutMs: 10_000,
    searchAttributes: {},
    typedSearchAttributes: new TypedSearchAttributes(),
    historyLength: 3,
    historySize: 300,
    continueAsNewSuggested: false,
    targetWorkerDeploymentVersionChanged: false,
    // `now` and `random` are set anew inside the sandbox.
    unsafe: { isReplaying: false, isReplayingHistoryEvents: false } as WorkflowInfo['unsafe'],
  };
}

/** Eight bytes that depend on the text only (FNV-1a, twice), so that a run's random numbers are the same every time. */
function seedOf(text: string): number[] {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    low = Math.imul(low ^ text.charCodeAt(i), 0x01000193);
    high = Math.imul(high ^ text.charCodeAt(text.length - 1 - i), 0x01000193);
  }
  return [low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8, high >>> 16, high >>> 24].map((byte) => byte & 255);
}

/** A protobuf timestamp, or duration, of so many milliseconds. */
export const timestamp = (ms: number): ReturnType<typeof msToTs> => msToTs(ms);

/** Milliseconds of a protobuf duration; `undefined` when it is absent or zero, which mean the same to the server. */
export function durationMs(duration: Duration): number | undefined {
  const ms = Number(duration?.seconds ?? 0) * 1000 + (duration?.nanos ?? 0) / 1e6;
  return ms > 0 ? ms : undefined;
}

export function encode(value: unknown): Payload {
  return defaultPayloadConverter.toPayload(value);
}

export function encodeAll(values: unknown[]): Payload[] {
  return toPayloads(defaultPayloadConverter, ...values) ?? [];
}

export function decode(payload: Payload | null | undefined): unknown {
  return payload ? defaultPayloadConverter.fromPayload(payload) : undefined;
}

export function encodeError(error: unknown): Failure {
  return defaultFailureConverter.errorToFailure(error, defaultPayloadConverter);
}

export function decodeFailure(failure: Failure): Error {
  return defaultFailureConverter.failureToError(failure, defaultPayloadConverter);
}

export function encodeSearchAttributes(pairs: SearchAttributePair[]): Record<string, Payload> {
  return encodeUnifiedSearchAttributes(undefined, pairs) as Record<string, Payload>;
}
