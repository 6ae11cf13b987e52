// The words of administration, which come with it.

import { enAdmin, type AdminMessages } from "./en-admin.ts";
import { language } from "./index.ts";
import { zhAdmin } from "./zh-admin.ts";

/** The words in the current language; reading them in a view follows a change. */
export const ta = (): AdminMessages => (language() === "zh" ? zhAdmin : enAdmin);
