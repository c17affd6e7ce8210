import { randomBytes } from 'node:crypto';
import { type BlueprintNode, type DesiredChild, isRecord, type LiveObject } from '@felucca/contract';

/** A Secret's generated values: what is there is kept, for a password is made once. */
export function withGeneratedValues(
  child: DesiredChild,
  { generate }: BlueprintNode,
  live: LiveObject | undefined,
): DesiredChild {
  if (!generate) return child;
  const old = isRecord(live?.data) ? live.data : {};
  const object = child.object as DesiredChild['object'] & { data?: Record<string, unknown> };
  const data: Record<string, unknown> = { ...object.data };
  for (const { key, length } of generate) {
    const kept = old[key];
    data[key] =
      typeof kept === 'string' && kept !== '' ? kept : Buffer.from(randomText(length)).toString('base64');
  }
  return { ...child, object: { ...object, data } as DesiredChild['object'] };
}

const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';

/** Characters without look-alikes, each equally likely. */
export function randomText(length: number): string {
  const limit = 256 - (256 % ALPHABET.length);
  let text = '';
  while (text.length < length)
    for (const byte of randomBytes(length * 2))
      if (byte < limit && text.length < length) text += ALPHABET[byte % ALPHABET.length];
  return text;
}
