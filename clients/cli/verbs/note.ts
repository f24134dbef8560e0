import { say } from './say.ts';

export const run = say('note');
