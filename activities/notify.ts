/** Tells people on one channel, in one attempt. Secrets are resolved here and leave with the request only. */
import type { Channel } from '../topology/channels.ts';
import type { Kept, NotifyActivities, NotifyCall } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { tellByMail } from './notify/email.ts';
import { tellPagerDuty } from './notify/pagerduty.ts';
import { forGood, withoutSecrets } from './notify/post.ts';
import { tellSlack } from './notify/slack.ts';
import { tellWebhook } from './notify/webhook.ts';
import { perform } from './perform.ts';

export interface NotifyOptions {
  /** Counts an attempt. */
  count?(channel: string, result: 'sent' | 'failed'): void;
}

export function createNotifyActivities(deps: ActivityDeps, { count }: NotifyOptions = {}): NotifyActivities {
  return {
    notify: (call) =>
      perform(deps, call.run, null, async (context) => {
        const used: string[] = [];
        const secret = async (reference: string): Promise<string> => {
          const value = await context.secret(reference);
          used.push(value);
          return value;
        };
        try {
          // As the topology says now: a token that was changed, or a channel that was taken out, counts at once.
          const channel = (await deps.topology()).notifications?.channels[call.channel];
          if (channel === undefined) throw forGood(`the topology has no channel ${call.channel} any more`);
          const kept = await tell(channel, call, secret, context.now(), context.signal);
          count?.(call.channel, 'sent');
          return { kept };
        } catch (error) {
          count?.(call.channel, 'failed');
          throw withoutSecrets(error, used);
        }
      }),
  };
}

async function tell(
  channel: Channel,
  call: NotifyCall,
  secret: (reference: string) => Promise<string>,
  now: number,
  signal: AbortSignal,
): Promise<Kept | null> {
  switch (channel.type) {
    case 'slack':
      return tellSlack(channel, call, await secret(channel.token), signal);
    case 'pagerduty':
      return tellPagerDuty(channel, call, await secret(channel.routingKey), signal);
    case 'email':
      return tellByMail(channel, call, channel.password === undefined ? null : await secret(channel.password));
    case 'webhook':
      await tellWebhook(channel, call, await secret(channel.secret), now, signal);
      return null;
  }
}
