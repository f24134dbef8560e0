/** Pieces of configuration that load balancers and DNS records share. */
import { z } from 'zod';
import { durationBetween, secretSchema } from '../../topology/scalars.ts';

const ID = /^[0-9a-f]{32}$/;

/** An identifier of Cloudflare's: 32 hexadecimal digits. */
export function cloudflareId(what: string, example: string) {
  return z
    .string()
    .regex(ID, `expected the id of ${what}: 32 hexadecimal digits`)
    .meta({ description: `Id of ${what}`, examples: [example] });
}

export const zoneId = cloudflareId('the zone', '023e105f4ecef8ad9ca31a8372d0c353');

/** How the API is reached. */
export const apiFields = {
  apiToken: secretSchema.meta({
    description: 'API token, by reference; docs/drivers/cloudflare.md lists its permissions',
    examples: ['${env:CLOUDFLARE_API_TOKEN}'],
  }),
  baseURL: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as https://api.cloudflare.com/client/v4' })
    .refine((text) => !URL.canParse(text) || new URL(text).username === '', {
      error: 'no user or password in a URL: they would be shown in plans and logs',
    })
    .transform((text) => text.replace(/\/+$/, ''))
    .prefault('https://api.cloudflare.com/client/v4')
    .meta({ description: 'Address of the API', examples: ['https://api.cloudflare.com/client/v4'] }),
  timeout: durationBetween(50, 60_000)
    .prefault('5s')
    .meta({ description: 'Longest wait for one whole answer of the API', examples: ['5s'] }),
  deadline: durationBetween(50, 600_000)
    .prefault('45s')
    .meta({ description: 'Longest wait until a change is read back', examples: ['45s'] }),
  requestsPer5Minutes: z
    .int()
    .min(60)
    .max(1_000_000)
    .default(1200)
    .meta({
      description:
        "Published limit of the token's user, of which Rampart takes at most seven eighths; Enterprise may have more",
      examples: [1200],
    }),
};

export interface ApiConfig {
  apiToken: string;
  baseURL: string;
  /** Milliseconds. */
  timeout: number;
  deadline: number;
  requestsPer5Minutes: number;
}
