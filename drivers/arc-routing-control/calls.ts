import { apiCalls } from '../aws/calls.ts';

const CONTROL = 'arn:aws:route53-recovery-control::*:controlpanel/*/routingcontrol/*';
const where = 'the five endpoints of the cluster, each in its region';

/** All calls are of the data plane: the control plane (us-west-2) is never asked. */
export const CALLS = apiCalls('route53-recovery-cluster', {
  GetRoutingControlState: {
    changes: false,
    right: 'route53-recovery-cluster:GetRoutingControlState',
    resource: CONTROL,
    plane: 'data',
    where,
    why: 'whether a region is on, read back from more than one endpoint',
  },
  UpdateRoutingControlStates: {
    changes: true,
    right: 'route53-recovery-cluster:UpdateRoutingControlStates',
    resource: CONTROL,
    plane: 'data',
    where,
    why: 'to turn regions on and off, all in one request',
  },
});
