import { decide } from './decide.ts';

export const run = decide('reject');
