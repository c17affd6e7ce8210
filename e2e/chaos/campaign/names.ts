/** Names of one case made comparable with those of another. Pure. */

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;
/** A pod of a ReplicaSet or Job: nobody knows its name beforehand. */
const POD = /^(pods\/[^/]+\/.+?)-(?:[a-z0-9]{6,10}-)?[a-z0-9]{5}$/;

export const withoutCase = (text: string, id: string): string => text.replaceAll(id, 'CASE');

/** An object's key as every run has it. */
export function commonKey(key: string, id: string): string {
  const common = withoutCase(key, id);
  return common.startsWith('pods/') && !/-\d+$/.test(common) ? common.replace(POD, '$1-*') : common;
}

export const commonText = (text: string, id: string): string =>
  withoutCase(text, id).replace(UUID, 'UID').replace(TIME, 'TIME');

/** Does a key belong to the case? */
export const isOfCase = (key: string, id: string): boolean => key.includes(id);
