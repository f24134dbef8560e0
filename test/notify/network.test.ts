/** Which addresses a webhook may be sent to, also when a name leads to them. */
import type { LookupAddress } from 'node:dns';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressRefused, addressCheck, checkedLookup } from '../../activities/notify/network.ts';

const judge = (address: string, allow: string[] = []): boolean => {
  try {
    addressCheck(allow)(address);
    return true;
  } catch (error) {
    if (!(error instanceof AddressRefused)) throw error;
    return false;
  }
};

describe('an address', () => {
  test.each([
    '127.0.0.1', '127.9.9.9', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1',
    '169.254.169.254', '169.254.170.2', '192.0.0.192', '198.18.0.1', '224.0.0.1', '255.255.255.255', '100.100.100.200',
    '::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:a9fe:a9fe', 'fd00:ec2::254', 'fe80::1',
    'fec0::1', 'ff02::1', '64:ff9b::a00:1', '2002:7f00:1::', '2001:0:1::1', '2001:db8::1', 'not an address', '',
  ])('%s is refused', (address) => expect(judge(address)).toBe(false)); // biome-ignore format: a list

  test.each(['1.1.1.1', '8.8.8.8', '172.15.0.1', '172.32.0.1', '192.169.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])(
    '%s is public',
    (address) => expect(judge(address)).toBe(true),
  );

  test('of a network that is allowed may be sent to, and of no other', () => {
    expect(judge('10.1.2.3', ['10.1.0.0/16'])).toBe(true);
    expect(judge('10.2.2.3', ['10.1.0.0/16'])).toBe(false);
    expect(judge('fd00::1', ['fd00::/64', '10.1.0.0/16'])).toBe(true);
    expect(judge('169.254.169.254', ['10.0.0.0/8'])).toBe(false);
  });

  test('in the clothes of IPv6 is judged as in its own', () => {
    fc.assert(fc.property(fc.ipV4(), (address) => judge(`::ffff:${address}`) === judge(address)));
  });
});

describe('a name', () => {
  const ask = (answers: LookupAddress[], options: { all?: boolean }): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const answer = (_name: string, _options: object, done: (error: null, addresses: LookupAddress[]) => void): void =>
        done(null, answers);
      const lookup = checkedLookup(addressCheck([]), answer as never);
      lookup('hooks.example', options, (error, address) => (error === null ? resolve(address) : reject(error)));
    });
  const PUBLIC = { address: '1.1.1.1', family: 4 };

  test.each([{ all: true }, {}])('that leads to public addresses only is connected to (%o)', async (options) => {
    expect(await ask([PUBLIC], options)).toEqual(options.all ? [PUBLIC] : '1.1.1.1');
  });

  test('that leads to one that is not public, among others, is not', async () => {
    await expect(ask([PUBLIC, { address: '10.0.0.1', family: 4 }], { all: true })).rejects.toThrow('10.0.0.1 is not');
  });
});
