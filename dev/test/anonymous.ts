import { get } from 'node:https';

/** The HTTP status somebody without a credential (and without our CA) gets. */
export function anonymousStatus(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}
