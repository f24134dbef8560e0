/**
 * Findings on the channels of the topology. It needs no Temporal: a watchdog has something to say above all when that is
 * away. Only control workers have it, because only they hold the channels' secrets.
 */
import { type Finding, tellFinding, wantsFinding } from '../activities/notify/finding.ts';
import { withoutSecrets } from '../activities/notify/post.ts';
import type { Channel } from '../topology/channels.ts';
import type { Topology } from '../topology/model.ts';
import { AGAIN_MS, Heard } from './heard.ts';

export interface ChannelTellerOptions {
  topology(): Promise<Topology>;
  secret(reference: string): Promise<string>;
  /** Counts an attempt. */
  count(channel: string, result: 'sent' | 'failed'): void;
}

/** Every control worker has a watchdog, and says so long as there is something to say: again after so long, in milliseconds. */
const ALARM_AGAIN_MS = 3_600_000;
/** Of one message, in milliseconds. */
const LONGEST_MS = 12_000;

export class ChannelTeller {
  readonly #options: ChannelTellerOptions;
  /** What each channel took. */
  readonly #taken = new Map<string, Heard>();

  constructor(options: ChannelTellerOptions) {
    this.#options = options;
  }

  /**
   * What failed on one channel is sent again; the others, which took it, are left alone.
   * @throws Error when a channel did not take it, after all others were told: then it is worth another try
   */
  tell(finding: Finding): Promise<void> {
    return this.#all(finding, AGAIN_MS, () => true);
  }

  /**
   * What a watchdog has seen, on channels that know a finding again by its key: guards of all workers, and the guard of
   * the service, may say the same. The alert that it opens is resolved by the guard.
   * @throws Error as `tell`
   */
  alarm(finding: Finding): Promise<void> {
    return this.#all(finding, ALARM_AGAIN_MS, ({ type }) => type === 'pagerduty');
  }

  async #all(finding: Finding, quietMs: number, fits: (channel: Channel) => boolean): Promise<void> {
    const { notifications } = await this.#options.topology();
    const channels = Object.values(notifications?.channels ?? {}).filter(
      (channel) => fits(channel) && wantsFinding(channel, finding),
    );
    const told = await Promise.allSettled(channels.map((channel) => this.#one(channel, finding, quietMs)));
    const failed = told.find((one): one is PromiseRejectedResult => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
  }

  async #one(channel: Channel, finding: Finding, quietMs: number): Promise<void> {
    const taken = this.#taken.get(channel.name) ?? new Heard();
    this.#taken.set(channel.name, taken);
    if (taken.has(finding, quietMs)) return;
    const used: string[] = [];
    const secret = async (reference: string): Promise<string> => {
      const value = await this.#options.secret(reference);
      used.push(value);
      return value;
    };
    try {
      await tellFinding(channel, finding, secret, AbortSignal.timeout(LONGEST_MS));
    } catch (error) {
      this.#options.count(channel.name, 'failed');
      const { message } = withoutSecrets(error, used) as Error;
      throw new Error(`${channel.name} was not told of ${finding.kind}: ${message}`);
    }
    this.#options.count(channel.name, 'sent');
    taken.add(finding);
  }
}
