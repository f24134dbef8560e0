import { apiCalls } from '../aws/calls.ts';

const ACCELERATOR = 'arn:aws:globalaccelerator::*:accelerator/*';
const where = 'us-west-2, whatever region fails';

/** One API for the whole world, in one region: its control plane is what moves traffic. */
export const CALLS = apiCalls('global-accelerator', {
  DescribeAccelerator: {
    changes: false,
    right: 'globalaccelerator:DescribeAccelerator',
    resource: ACCELERATOR,
    plane: 'control',
    where,
    why: 'whether a change is deployed',
  },
  ListEndpointGroups: {
    changes: false,
    right: 'globalaccelerator:ListEndpointGroups',
    resource: ACCELERATOR,
    plane: 'control',
    where,
    why: 'traffic dials, endpoint weights and health of every region of a listener',
  },
  ListTagsForResource: {
    changes: false,
    right: 'globalaccelerator:ListTagsForResource',
    resource: ACCELERATOR,
    plane: 'control',
    where,
    why: 'which run holds the component',
  },
  TagResource: {
    changes: true,
    right: 'globalaccelerator:TagResource',
    resource: ACCELERATOR,
    plane: 'control',
    where,
    why: 'to claim the component for a run',
  },
  UpdateEndpointGroup: {
    changes: true,
    right: 'globalaccelerator:UpdateEndpointGroup',
    resource: ACCELERATOR,
    plane: 'control',
    where,
    why: 'to move a traffic dial, or the weights of endpoints',
  },
});
