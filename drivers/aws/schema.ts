import { z } from 'zod';

/** A region of AWS. Always explicit: nothing may depend on what the worker's environment happens to say. */
export const awsRegion = z
  .string()
  .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'expected a region of AWS such as eu-west-1')
  .meta({ description: 'Region of AWS that is called for this side', examples: ['eu-west-1', 'us-east-1'] });

/** Another address than the region's own. */
export const awsEndpoint = z
  .url({ protocol: /^https?$/, error: 'expected a URL such as https://vpce-0abc.rds.eu-west-1.vpce.amazonaws.com' })
  .refine((text) => !URL.canParse(text) || new URL(text).username === '', {
    error: 'no user or password in a URL: they would be shown in plans and logs',
  })
  .meta({
    description: "Address of the API, when it is not the region's own: a VPC endpoint, or an emulator",
    examples: ['https://vpce-0abc.rds.eu-west-1.vpce.amazonaws.com'],
  });

/** An Amazon resource name of one service. */
export function arn(service: string, example: string) {
  return z
    .string()
    .regex(new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]*:\\d{12}:.+$`), `expected an ARN such as ${example}`)
    .meta({ examples: [example] });
}
