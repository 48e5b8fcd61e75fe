package domain

// Preset is a named cron expression.
type Preset struct {
	Name           string `json:"name"`
	CronExpression string `json:"cron_expression"`
	Description    string `json:"description"`
}

// Presets lists the names that preset_name accepts, in the order in which they are shown.
var Presets = []Preset{
	{"daily_morning", "0 9 * * *", "Every day at 09:00"},
	{"daily_noon", "0 12 * * *", "Every day at 12:00"},
	{"daily_evening", "0 18 * * *", "Every day at 18:00"},
	{"daily_night", "0 21 * * *", "Every day at 21:00"},
	{"daily_midnight", "0 0 * * *", "Every day at 00:00"},
	{"business_days_morning", "0 9 * * 1-5", "Monday to Friday at 09:00"},
	{"business_days_evening", "0 18 * * 1-5", "Monday to Friday at 18:00"},
	{"weekly_monday", "0 9 * * 1", "Mondays at 09:00"},
	{"weekly_friday", "0 18 * * 5", "Fridays at 18:00"},
	{"weekly_sunday", "0 9 * * 0", "Sundays at 09:00"},
	{"monthly_first", "0 9 1 * *", "The first day of the month at 09:00"},
	{"monthly_last_business_day", "0 9 LW * *", "The last weekday of the month at 09:00"},
	{"market_open", "0 9 * * 1-5", "Monday to Friday at 09:00"},
	{"market_close", "0 15 * * 1-5", "Monday to Friday at 15:00"},
	{"after_market", "0 16 * * 1-5", "Monday to Friday at 16:00"},
	{"every_hour", "0 * * * *", "Every hour, on the hour"},
	{"every_30_minutes", "*/30 * * * *", "Every 30 minutes"},
	{"every_15_minutes", "*/15 * * * *", "Every 15 minutes"},
}

func presetByName(name string) (Preset, bool) {
	for _, p := range Presets {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}
