/** JSON lines on standard output, one an event, as the workers write them. */
import pino from 'pino';
import type { DriverLog } from '../../drivers/ports.ts';

/** @param level pino's level, from RAMPART_LOG_LEVEL */
export function createLog(level = 'info'): DriverLog {
  const log = pino({ level, base: { pid: process.pid, place: 'serve' }, timestamp: pino.stdTimeFunctions.isoTime });
  return {
    debug: (message, facts) => log.debug(facts ?? {}, message),
    info: (message, facts) => log.info(facts ?? {}, message),
    warn: (message, facts) => log.warn(facts ?? {}, message),
    error: (message, facts) => log.error(facts ?? {}, message),
  };
}
