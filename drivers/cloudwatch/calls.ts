import { apiCalls } from '../aws/calls.ts';

const side = { changes: false, resource: '*', plane: 'control', where: 'the region named for the side' } as const;

export const CLOUDWATCH_CALLS = apiCalls('cloudwatch', {
  GetMetricData: { ...side, right: 'cloudwatch:GetMetricData', why: 'the newest whole period of a metric' },
  DescribeAlarms: { ...side, right: 'cloudwatch:DescribeAlarms', why: 'the state of an alarm' },
});
