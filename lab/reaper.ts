/**
 * Waits for the end of a pipe and then ends everything in a record. The supervisor holds the other end, so
 * this runs when the supervisor ends in whatever way, `kill -9` included.
 *
 *   node reaper.js <record file>
 */
import { endRecorded } from './processes.ts';

const record = process.argv[2];
if (!record) throw new Error('usage: reaper.js <record file>');
// Signals to the supervisor's terminal or group must not take its reaper along.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.stdin.resume();
process.stdin.on('error', () => {});
process.stdin.once('close', () => {
  endRecorded(record, 0).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
