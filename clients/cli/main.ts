#!/usr/bin/env node
/** `rampart`: the command line. */
import { processIo } from './io.ts';
import { runCli } from './program.ts';

const code = await runCli(process.argv.slice(2), processIo());
// Open connections must not keep a finished command alive; what was printed is written out first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
