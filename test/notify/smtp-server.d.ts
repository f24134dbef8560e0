/** The part of it that tests use; it brings no types. */
declare module 'smtp-server' {
  import type { Server } from 'node:net';
  import type { Readable } from 'node:stream';
  export interface SMTPServerSession {
    envelope: { mailFrom: { address: string } | false; rcptTo: Array<{ address: string }> };
    user?: string;
    secure: boolean;
  }
  export interface SMTPServerOptions {
    disabledCommands?: string[];
    authOptional?: boolean;
    allowInsecureAuth?: boolean;
    hideSTARTTLS?: boolean;
    onAuth?(
      auth: { username: string; password: string },
      session: SMTPServerSession,
      done: (error: Error | null, answer?: { user: string }) => void,
    ): void;
    onRcptTo?(address: { address: string }, session: SMTPServerSession, done: (error?: Error | null) => void): void;
    onData?(stream: Readable, session: SMTPServerSession, done: (error?: Error | null) => void): void;
  }
  export class SMTPServer {
    constructor(options?: SMTPServerOptions);
    listen(port: number, host: string, listening?: () => void): Server;
    close(closed?: () => void): void;
    on(event: 'error', listener: (error: Error) => void): this;
  }
}
