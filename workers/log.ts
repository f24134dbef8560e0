/** JSON logs on standard output, one line an event. Secrets never reach them: nothing logs a resolved reference. */
import { DefaultLogger, type LogEntry, type Logger } from '@temporalio/worker';
import pino from 'pino';
import type { DriverLog } from '../drivers/ports.ts';

export interface WorkerLog {
  own: DriverLog;
  temporal: Logger;
}

/** @param level pino's level, default `info`, from RAMPART_LOG_LEVEL */
export function createLog(fields: Record<string, unknown>, level = process.env.RAMPART_LOG_LEVEL ?? 'info'): WorkerLog {
  const log = pino({
    level,
    base: { pid: process.pid, ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['password', '*.password', 'token', '*.token', 'authorization', '*.authorization'],
      censor: '[secret]',
    },
  });
  const own: DriverLog = {
    debug: (message, facts) => log.debug(facts ?? {}, message),
    info: (message, facts) => log.info(facts ?? {}, message),
    warn: (message, facts) => log.warn(facts ?? {}, message),
    error: (message, facts) => log.error(facts ?? {}, message),
  };
  const levels: Record<string, (facts: object, message: string) => void> = {
    TRACE: (f, m) => log.trace(f, m),
    DEBUG: (f, m) => log.debug(f, m),
    INFO: (f, m) => log.info(f, m),
    WARN: (f, m) => log.warn(f, m),
    ERROR: (f, m) => log.error(f, m),
  };
  const temporal = new DefaultLogger('INFO', (entry: LogEntry) =>
    levels[entry.level]!(entry.meta ?? {}, entry.message),
  );
  return { own, temporal };
}
