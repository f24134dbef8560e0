/**
 * Part of the workflow bundle. Decoding happens inside the SDK, before any handler: a signal, update or request whose
 * payload cannot be decoded (another encoding, cut bytes) would fail every workflow task from then on, and the run with
 * its lock would be stuck. Here such a payload becomes a text, which every reader refuses with what would be right.
 */
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

export const payloadConverter: PayloadConverter = {
  toPayload: (value, context, hint) => defaultPayloadConverter.toPayload(value, context, hint),
  fromPayload: <T>(payload: Payload): T => {
    try {
      return defaultPayloadConverter.fromPayload<T>(payload);
    } catch {
      return 'a payload that cannot be decoded' as T;
    }
  },
};
